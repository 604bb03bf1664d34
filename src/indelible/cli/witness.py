"""`indelible witness`: be a witness for logs, of other deployments or of customers."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from indelible.cli.exits import CommandFailed
from indelible.cli.output import print_json, print_members
from indelible.cli.session import json_option
from indelible.config import limits_from

_DATA = click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The witness's directory: its key, and what it cosigned.",
)


@click.group()
def witness() -> None:
    """Cosign checkpoints of logs that only grew (C2SP tlog-witness), and remember what was cosigned."""


@witness.command()
@_DATA
@click.option("--name", help="The witness's name, such as example.com/witness; fixed at first start.")
@click.option("--log", "logs", multiple=True, metavar="KEY", help="A log's verifier key. May be repeated.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to bind.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8100, show_default=True, help="0 picks a free port."
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="A PEM file: certificate and chain.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="A PEM file: the private key.")
@click.option(
    "--log-json", "--json", "log_json", is_flag=True, help="Write the log as JSON, one object a line."
)
def serve(
    data: Path,
    name: str | None,
    logs: tuple[str, ...],
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    *,
    log_json: bool,
) -> int:
    """Run a witness over --data, which is made at first start with a key of its own.

    It cosigns checkpoints of the logs that it knows: those of --log, and those that `witness add-log` adds
    while it runs. "listening on URL" on standard error says that it answers.
    """
    import uvloop  # noqa: PLC0415 - a server alone needs it

    from indelible import telemetry  # noqa: PLC0415 - same
    from indelible.witness.app import WitnessSettings, serve_witness  # noqa: PLC0415 - brings a server in
    from indelible.witness.directory import parse_logs  # noqa: PLC0415 - same

    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")

    def announce(listening: Any, directory: Any) -> None:
        print(f"this witness is {directory.cosigner.verifier.vkey}", file=sys.stderr)
        print(f"listening on {listening.url}", file=sys.stderr, flush=True)

    telemetry.configure_logging(json=log_json)
    with _refusals(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        known = parse_logs(logs, "--log")
        settings = WitnessSettings(
            _absolute(data), name, known, host, port, tls_cert, tls_key, limits_from(os.environ)
        )
        return runner.run(serve_witness(settings, announce))


@witness.command()
@_DATA
@json_option
def show(data: Path, *, as_json: bool) -> None:
    """Print the witness's verifier key, which goes into a policy, and the logs that it knows."""
    with _refusals():
        from indelible.witness.directory import WitnessDirectory, origin_hash  # noqa: PLC0415 - as above

        directory = WitnessDirectory(_absolute(data))
        logs = []
        for key in directory.logs():
            last = directory.last(key.name)
            seen = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(last.time)) if last.time else None
            path = f"/{origin_hash(key.name)}/checkpoint"
            logs.append({"log": key.vkey, "cosigned_size": last.size, "cosigned": seen, "path": path})
        verifier = directory.cosigner.verifier
    if as_json:
        print_json({"name": verifier.name, "verifier_key": verifier.vkey, "logs": logs})
        return
    print(verifier.vkey)
    for each in logs:
        print_members(each)


@witness.command("add-log")
@_DATA
@click.argument("keys", nargs=-1, required=True, metavar="KEY…")
@json_option
def add_log(data: Path, keys: tuple[str, ...], *, as_json: bool) -> None:
    """Add logs by their verifier keys; a witness that runs over --data knows them at once."""
    with _refusals():
        from indelible.witness.directory import WitnessDirectory, parse_logs  # noqa: PLC0415 - as above

        count = WitnessDirectory(_absolute(data)).add_logs(parse_logs(keys, "KEY"))
    if as_json:
        print_json({"logs": count})
    else:
        print_members({"logs": count})


def _absolute(data: Path) -> Path:
    return data.expanduser().resolve()


@contextmanager
def _refusals() -> Iterator[None]:
    from indelible.store.base import StoreRefused  # noqa: PLC0415 - brings the store in

    try:
        yield
    except (StoreRefused, ValueError) as error:
        raise CommandFailed(str(error)) from None
