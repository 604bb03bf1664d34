"""The pages for people, which load nothing: two written once from the OpenAPI document, without scripts.

The third verifies evidence. It is one file, served byte for byte, so that its digest can be published and
compared; it works as well when it is opened from a disk.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from html import escape
from importlib.resources import files
from typing import Any

import msgspec

from indelible.http.calls.system import Documents, Page
from indelible.model.errors import CODES
from indelible.model.limits import Limits

_STYLE = """
:root{color-scheme:light dark;--line:#8885;--soft:#8881;--key:#06c}
@media(prefers-color-scheme:dark){:root{--key:#6bf}}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem}
h1{margin-top:0}h2{border-bottom:1px solid var(--line);margin-top:2.5rem}
code,pre{font:14px/1.5 ui-monospace,monospace}pre{background:var(--soft);padding:.8rem;overflow:auto}
a{color:var(--key)}table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0;text-align:left;vertical-align:top}
details{border:1px solid var(--line);border-radius:.4rem;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}.m{display:inline-block;min-width:4.2rem;font-weight:600;color:var(--key)}
"""

_LANDING = """
<h1>Indelible</h1>
<p>An append-only, tamper-evident event log, with views in WebAssembly. This server answers.</p>
<ul>
<li><a href="/docs">Every call</a>, with its parameters, bodies and refusals</li>
<li><a href="/openapi.json">The same as OpenAPI 3.1</a></li>
<li><a href="/verify">A page that verifies evidence</a>, in the browser alone</li>
<li><a href="/healthz">Whether the process works</a>, and <a href="/readyz">whether it can serve</a></li>
</ul>
<h2>The four calls</h2>
<pre>curl -X POST $URL/logs -d '{"name": "tenant-acme-audit"}'
curl -X POST $URL/logs/tenant-acme-audit/append -d '{"type": "record.updated", "actor": "user_8f3a"}'
curl -X POST $URL/logs/tenant-acme-audit/views/compliance-report -d '{"builtin": "compliance-report"}'
curl "$URL/logs/tenant-acme-audit/views/compliance-report/query?after=2025-01-01&amp;before=2025-03-31"
</pre>
<p>Each takes <code>-H "Authorization: Bearer $KEY"</code>, unless the server was started with
<code>--no-auth</code>.</p>
"""


def build_pages(openapi: Mapping[str, Any], limits: Limits) -> Documents:
    """Return the document as JSON, and the pages that show it."""
    verify = (files("indelible") / "web" / "verify.html").read_bytes()
    script, style = (_between(verify, name) for name in ("script", "style"))
    return Documents(
        openapi=msgspec.json.encode(openapi) + b"\n",
        docs=Page(_page("Indelible: every call", "".join(_docs(openapi, limits))), _policy(_STYLE.encode())),
        landing=Page(_page("Indelible", _LANDING), _policy(_STYLE.encode())),
        verify=Page(verify, _policy(style, script)),
    )


def _between(page: bytes, element: str) -> bytes:
    """What the one element of this name holds."""
    return page.split(f"<{element}>".encode())[1].split(f"</{element}>".encode())[0]


def _policy(style: bytes, script: bytes | None = None) -> str:
    """A Content-Security-Policy that lets just this style and this script in, and nothing out."""
    sources = f"style-src {_source(style)}" + ("" if script is None else f"; script-src {_source(script)}")
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def _source(inline: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline).digest()).decode()}'"


def _page(title: str, body: str) -> bytes:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    ).encode()


def _docs(openapi: Mapping[str, Any], limits: Limits) -> Iterable[str]:
    yield f"<h1>Indelible {escape(openapi['info']['version'])}: every call</h1>"
    yield '<p>As <a href="/openapi.json">OpenAPI 3.1</a>. Back to <a href="/">the start</a>.</p>'
    for tag in openapi["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2>"
        for path, operations in openapi["paths"].items():
            for method, operation in operations.items():
                if operation["tags"] == [tag["name"]]:
                    yield from _operation(method.upper(), path, operation)
    yield from _codes()
    yield from _limits(limits)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterable[str]:
    yield f'<details id="{escape(operation["operationId"])}"><summary><span class="m">{method}</span>'
    yield f" <code>{escape(path)}</code> {_text(operation['summary'])}</summary><table>"
    for parameter in operation["parameters"]:
        needed = " (needed)" if parameter.get("required") else ""
        yield _row(
            f"<code>{escape(parameter['name'])}</code> in {parameter['in']}{needed}", parameter["description"]
        )
    body = operation.get("requestBody")
    if body is not None:
        yield _row(f"body: {escape(', '.join(body['content']))}", body["description"])
    for status, response in operation["responses"].items():
        yield _row(f"answers {status}", response["description"])
    yield "</table></details>"


def _row(name: str, said: str) -> str:
    return f"<tr><td>{name}</td><td>{_text(said)}</td></tr>"


def _text(said: str) -> str:
    """Escape, and show what stands between backticks as code."""
    pieces = escape(said).split("`")
    return "".join(f"<code>{piece}</code>" if at % 2 else piece for at, piece in enumerate(pieces))


def _codes() -> Iterable[str]:
    heads = "".join(f"<th>{name}</th>" for name in ("code", "status", "retry", "effect", "meaning"))
    yield f"<h2>Refusals</h2><table><tr>{heads}</tr>"
    for code in CODES.values():
        retry = "may help" if code.retryable else "no"
        yield (
            f'<tr id="{code.name}"><td><code>{code.name}</code></td><td>{code.status}</td>'
            f"<td>{retry}</td><td>{code.effect}</td><td>{escape(code.title)}</td></tr>"
        )
    yield "</table>"


def _limits(limits: Limits) -> Iterable[str]:
    yield "<h2>Limits</h2><table>"
    for name, value in asdict(limits).items():
        yield f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{value:,}</td></tr>"
    yield "</table>"
