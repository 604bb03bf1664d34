"""The peer: what a team builds itself. FastAPI, asyncpg, one INSERT into an indexed table, committed.

Run by uvicorn with uvloop, one worker, as `bench.peer:app`; the database's address is in PEER_DSN.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI, Request

TABLE = """
CREATE TABLE IF NOT EXISTS events (
    id bigserial PRIMARY KEY,
    tenant text NOT NULL,
    type text NOT NULL,
    actor text NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    payload jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_actor ON events (tenant, actor, created);
"""
INSERT = "INSERT INTO events (tenant, type, actor, payload) VALUES ($1, $2, $3, $4) RETURNING id, created"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open a pool of connections for the life of the server."""
    app.state.pool = await asyncpg.create_pool(os.environ["PEER_DSN"], min_size=16, max_size=16)
    await app.state.pool.execute(TABLE)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


@app.post("/logs/{tenant}/append", status_code=201)
async def append(tenant: str, request: Request) -> dict[str, Any]:
    """Insert one event and answer with its id."""
    raw = await request.body()
    event = await request.json()
    row = await app.state.pool.fetchrow(INSERT, tenant, event["type"], event["actor"], raw.decode())
    return {"sequence": row["id"], "time": row["created"].isoformat()}
