"""The part of `indelible verify` that looks at a log where it is served."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from indelible.cli.output import Progress
from indelible.cli.session import PATIENT, Session, open_pins

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client.examine import Examined


def is_url(text: str) -> bool:
    """Say whether what is to be checked is meant as a place, and no file."""
    return text.startswith(("http://", "https://"))


def base_url(url: str) -> str:
    """Return the URL under which a log, or a deployment, has its paths; `…/checkpoint` is cut off.

    Raises:
        UsageError: it is no URL of a server.
    """
    parts = urlsplit(url)
    if not is_url(url) or not parts.hostname or parts.query or parts.fragment:
        raise click.UsageError(f"{url} is not the URL of a log or a deployment (https://HOST/logs/LOG)")
    return url.rstrip("/").removesuffix("/checkpoint").rstrip("/")


def look(session: Session, keys: list[str], *, payloads: bool) -> "Examined":
    """Read a log's whole history, with progress, and say what of it holds."""
    from indelible.client import Retry  # noqa: PLC0415 - slow to import
    from indelible.client.examine_live import examine_live  # noqa: PLC0415 - same
    from indelible.client.tiled import TiledLog  # noqa: PLC0415 - same
    from indelible.client.transport import Transport  # noqa: PLC0415 - same

    transport = Transport(
        base_url(session.url),
        session.key,
        retry=Retry(*PATIENT),
        timeout_seconds=60.0,
        certificates=session.certificates,
    )
    pins = open_pins(session.pins, as_json=session.as_json)
    try:
        with Progress("verifying", None, "events") as progress:
            return examine_live(TiledLog(transport), keys, pins, payloads=payloads, progress=progress.update)
    finally:
        transport.close()
