"""How the demo shows a call: as curl that can be pasted, and its answer, cut where it is long."""

import json
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from indelible.cli.text import clean_json, shorten

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Client
    from indelible.client.transport import Reply

_WIDTH = 110
_ITEMS = 2  # of each list in an answer that is shown


class Call(NamedTuple):
    """One call, as both curl and the client make it."""

    method: str
    path: str
    params: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    content_type: str | None = None
    shown_body: str | None = None  # what curl is shown to send, where the real body is long

    def curl(self, url: str) -> str:
        """Return the command that makes this call."""
        query = f"?{urlencode(self.params, quote_via=quote)}" if self.params else ""
        parts = ["curl"] + (["-X", self.method] if self.method != "GET" and self.body is None else [])
        parts.append(_quoted(url + self.path + query))
        if self.content_type:
            parts += ["-H", _quoted(f"Content-Type: {self.content_type}")]
        if self.shown_body is not None:
            parts += ["--data-binary", _quoted(self.shown_body)]
        elif self.body is not None:
            parts += ["-d", _quoted(self.body.decode())]
        return " ".join(parts)


class Story:
    """Makes calls one after the other and tells what was sent and answered."""

    def __init__(self, client: "Client", *, as_json: bool) -> None:
        self._client = client
        self._as_json = as_json

    def say(self, text: str = "") -> None:
        """Print a line for people; nothing with `--json`."""
        if not self._as_json:
            print(text, flush=True)

    def make(self, call: Call) -> "Reply":
        """Make a call without a word."""
        headers = {"Content-Type": call.content_type} if call.content_type else {}
        return self._client.transport.send(
            call.method, call.path, params=call.params, content=call.body, headers=headers
        )

    def tell(self, title: str, call: Call, *, lines: int = 16) -> Any:
        """Make a call, show it and at most so many lines of its answer, and return the answer."""
        url = self._client.transport.url
        reply = self.make(call)
        answer = json.loads(reply.body)
        if self._as_json:
            record = {"title": title, "curl": call.curl(url), "status": reply.status, "answer": answer}
            print(json.dumps(record, ensure_ascii=False), flush=True)
            return answer
        self.say(_bold(title))
        self.say(f"$ {call.curl(url)}")
        self.say(f"→ {reply.status}")
        for line in cut(pretty(elide(answer, _ITEMS)), lines):
            self.say(f"  {line}")
        self.say()
        return answer


def pretty(value: Any, indent: int = 0) -> list[str]:
    """Write JSON for reading: what fits in a line stays in one, and plain members fill lines."""
    flat = _flat(value)
    if len(flat) + indent <= _WIDTH or not isinstance(value, dict | list) or not value:
        return [" " * indent + shorten(flat, _WIDTH)]
    brackets = "{}" if isinstance(value, dict) else "[]"
    lines = [" " * indent + brackets[0]]
    pairs = list(value.items()) if isinstance(value, dict) else [(None, item) for item in value]
    for number, (name, item) in enumerate(pairs, 1):
        label = "" if name is None else f"{_flat(name)}: "
        inner = pretty(item, indent + 2)
        inner[0] = " " * (indent + 2) + label + inner[0].lstrip()
        inner[-1] += "," if number < len(pairs) else ""
        if len(inner) == 1 and _fills(lines[-1], inner[0]):
            lines[-1] += " " + inner[0].lstrip()
        else:
            lines += inner
    return [*lines, " " * indent + brackets[1]]


def elide(value: Any, items: int) -> Any:
    """Return JSON with at most so many items in each list, and the number of those left out."""
    if isinstance(value, dict):
        return {name: elide(item, items) for name, item in value.items()}
    if isinstance(value, list):
        kept = [elide(item, items) for item in value[:items]]
        return kept + ([f"… {len(value) - items} more"] if len(value) > items else [])
    return value


def _fills(line: str, more: str) -> bool:
    """Say whether `more` goes on the line before it: both plain, and together not too wide."""
    plain = line.endswith(",") and more.lstrip()[-2:-1] not in {"}", "]"} and line[-2] not in "}]"
    return plain and len(line) + len(more.lstrip()) < _WIDTH


def _flat(value: Any) -> str:
    return clean_json(json.dumps(value, ensure_ascii=False))


def cut(lines: Sequence[str], most: int) -> list[str]:
    """Keep the first lines, and say how many more there are."""
    if len(lines) <= most:
        return list(lines)
    return [*lines[:most], f"… {len(lines) - most} more lines"]


def _quoted(text: str) -> str:
    return shlex.quote(clean_json(text))


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else text
