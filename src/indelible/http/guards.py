"""What stands in for keys when none are asked for: only this machine, and no web page but ours.

With `--no-auth` the server listens on loopback, yet a browser on the same machine would carry the requests
of any page to it. A rebound name shows in `Host`, a foreign page in `Origin` or `Sec-Fetch-Site`.
"""

import ipaddress
from urllib.parse import urlsplit

from indelible.http.request import Peer, RequestHeaders
from indelible.model.errors import Problem

_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Say whether a host, a name or an address without brackets, can only be this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_local(peer: Peer, headers: RequestHeaders, port: int) -> None:
    """Refuse a request that did not plainly come from this machine to our own address.

    Raises:
        Problem: `foreign_origin`.
    """
    scheme = peer.scheme
    for host in (headers.get("host"), peer.authority):
        if host is not None and not _is_ours(f"{scheme}://{host}", port):
            raise _foreign("Host")
    if not headers.once("host"):
        raise _foreign("Host")
    if "origin" in headers and not _is_ours(headers.get("origin") or "", port):
        raise _foreign("Origin")
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise _foreign("Sec-Fetch-Site")


def is_direct_from_loopback(peer: Peer, headers: RequestHeaders) -> bool:
    """Say whether the client is on this machine, with no proxy in between that says so."""
    host, _, _ = peer.client.rpartition(":")
    forwarded = "forwarded" in headers or "x-forwarded-for" in headers
    return not forwarded and is_loopback(host.strip("[]"))


def _is_ours(url: str, port: int) -> bool:
    try:
        parts = urlsplit(url)
        named_port = parts.port
    except ValueError:
        return False
    if parts.scheme not in _DEFAULT_PORTS or parts.username is not None or parts.path.strip("/"):
        return False
    named_port = _DEFAULT_PORTS[parts.scheme] if named_port is None else named_port
    return named_port == port and is_loopback(parts.hostname or "")


def _foreign(header: str) -> Problem:
    return Problem(
        "foreign_origin",
        f"{header} must name this server's loopback address; serve with keys to be reached from elsewhere",
        header=header,
    )
