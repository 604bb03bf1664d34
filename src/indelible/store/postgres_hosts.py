"""Which of several hosts is asked first for a session: a pure reordering of what a URL names.

The driver tries hosts one after the other. One that is away without a word costs its whole time limit, for
each session anew, if it stands before the one that serves.
"""

from collections.abc import Mapping
from typing import Any

_EACH = ("host", "hostaddr", "port")
_PORT = "5432"


def seek_primary(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same, but of several hosts the one that takes writes is meant, unless the URL says otherwise."""
    several = any(len(_listed(parameters, name)) > 1 for name in ("host", "hostaddr"))
    return {**({"target_session_attrs": "read-write"} if several else {}), **parameters}


def led_by(parameters: Mapping[str, Any], host: str, port: int) -> dict[str, Any]:
    """The same, with the host that answered before the others; as it is where that host is not among them."""
    lists = {name: _listed(parameters, name) for name in _EACH}
    count = max(len(lists["host"]), len(lists["hostaddr"]))
    names = lists["host"] if len(lists["host"]) == count else lists["hostaddr"]
    ports = lists["port"] if len(lists["port"]) == count else lists["port"][:1] * count or [_PORT] * count
    places = [(name, each or _PORT) for name, each in zip(names, ports, strict=True)]
    if (host, str(port)) not in places[1:]:
        return dict(parameters)
    first = places.index((host, str(port)))
    order = [first, *(at for at in range(count) if at != first)]
    moved = {name: ",".join(each[at] for at in order) for name, each in lists.items() if len(each) == count}
    return {**parameters, **moved}


def _listed(parameters: Mapping[str, Any], name: str) -> list[str]:
    text = str(parameters.get(name) or "")
    return text.split(",") if text else []
