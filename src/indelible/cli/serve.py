"""`indelible serve`: the one command that imports the server."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import click

from indelible.cli.exits import CommandFailed
from indelible.config import Settings, from_environment, is_loopback


@click.command()
@click.option(
    "--config",
    envvar="INDELIBLE_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file with settings; options and variables come before it.",
)
@click.option("--data", type=click.Path(path_type=Path), help="The data directory.")
@click.option("--host", help="The address to bind.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="0 picks a free port.  [default: 8000]")
@click.option("--name", help="The deployment's name, fixed at first start; it stands in every proof.")
@click.option("--no-auth", is_flag=True, help="Serve without keys, on loopback only.")
@click.option(
    "--accept-clock",
    is_flag=True,
    help="Believe the clock at this start, though it is more than a day past the last time alive.",
)
@click.option(
    "--signer-command",
    metavar="CMD",
    help="Ask this command for the keys of new logs and for their signatures: an HSM's or a KMS's.",
)
@click.option(
    "--database",
    metavar="URL",
    help="postgres://…, for several nodes, instead of SQLite in --data; DATABASE_URL hides a password.",
)
@click.option(
    "--objects",
    metavar="URL",
    help="Store objects in s3://BUCKET/PREFIX (or a folder) and not in --data; also the variable OBJECTS.",
)
@click.option(
    "--archive/--no-archive",
    default=None,
    help="Archive all events among the objects; the default is yes where they are in a bucket.",
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="A PEM file: certificate and chain.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="A PEM file: the private key.")
@click.option(
    "--witness-policy",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A C2SP tlog-policy file: whose cosignatures the heads of _heads, and of the logs in it, need.",
)
@click.option(
    "--witness-fail-open",
    is_flag=True,
    default=None,
    help="Serve heads without the policy's cosignatures when the witnesses are away.",
)
@click.option(
    "--log-json",
    "--json",
    "log_json",
    is_flag=True,
    default=None,
    help="Write the log as JSON, one object a line.",
)
def serve(
    config: Path | None,
    data: Path | None,
    host: str | None,
    port: int | None,
    name: str | None,
    signer_command: str | None,
    database: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    witness_policy: Path | None,
    objects: str | None,
    *,
    witness_fail_open: bool | None,
    archive: bool | None,
    no_auth: bool,
    accept_clock: bool,
    log_json: bool | None,
) -> int:
    """Run a server over the directory --data, which is made at first start.

    The line "listening on URL" on standard error says that it answers. SIGTERM and Ctrl-C stop it after
    it has finished what it accepted.
    """
    settings = from_environment(
        data,
        config,
        host=host,
        port=port,
        name=name,
        no_auth=no_auth,
        accept_clock=accept_clock,
        signer_command=signer_command,
        tls_cert=tls_cert,
        tls_key=tls_key,
        log_json=log_json,
        witness_policy=witness_policy,
        witness_fail_open=witness_fail_open,
        objects=objects,
        archive=archive,
        database=database,
    )
    if no_auth and not is_loopback(settings.host):
        raise click.UsageError("--no-auth serves loopback only: leave out --host, or leave out --no-auth")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    return _run(settings)


def _run(settings: Settings) -> int:
    import uvloop  # noqa: PLC0415 - the server alone needs it

    from indelible import telemetry  # noqa: PLC0415 - same

    telemetry.configure_logging(json=settings.log_json)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    from indelible import app  # noqa: PLC0415 - brings the whole server in
    from indelible.store.base import StoreRefused  # noqa: PLC0415 - same

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    had_key = (settings.data / "root-key").exists()
    answering = False

    def announce(listening: Any, server: app.Server) -> None:
        nonlocal answering
        answering = True
        key = server.directory.root_key
        if not had_key and key.exists():
            print(f"the root key was made: it is in {key}; keep a copy in a safe place", file=sys.stderr)
        print(f"listening on {listening.url}", file=sys.stderr, flush=True)

    try:
        return await app.serve(settings, stop, announce)
    except StoreRefused as error:
        raise CommandFailed(str(error)) from None
    except OSError as error:
        if answering:
            raise
        raise CommandFailed(f"cannot serve on {settings.host}:{settings.port}: {error}") from None
    except ValueError as error:
        if answering:
            raise
        raise CommandFailed(str(error)) from None
