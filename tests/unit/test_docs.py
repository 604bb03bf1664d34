"""The documentation says what the code does: tables, names, commands, paths and links."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

import click
import pytest

from indelible import telemetry
from indelible.cli.monitor_metrics import MonitorMetrics
from indelible.cli.root import COMMANDS, root
from indelible.client.errors import Change
from indelible.config import limits_from
from indelible.http.openapi import build_openapi
from indelible.http.routes import all_routes
from indelible.model.errors import CODES
from indelible.model.limits import DEFAULT_LIMITS, Limits

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    str(page.relative_to(ROOT)): page.read_text()
    for page in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
}
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")


def table(page: str) -> list[list[str]]:
    """The cells of the rows of a page's tables, heads and rules left out."""
    rows = [line for line in PAGES[page].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    return [row for at, row in enumerate(cells) if at >= 2]


def inline(page: str) -> Iterator[str]:
    """What stands between backticks in a page, each on one line."""
    for found in INLINE.findall(FENCE.sub("", PAGES[page])):
        yield " ".join(found.split())


# ---------------------------------------------------------------------- tables


def test_every_refusal_is_documented_as_it_is() -> None:
    """docs/errors.md is the table of codes: status, whether a retry can help, effect, meaning, what to do."""
    documented = {row[1].strip("`"): (row[0], *row[2:5]) for row in table("docs/errors.md")}
    assert documented == {
        code.name: (str(code.status), "yes" if code.retryable else "no", code.effect, code.title)
        for code in CODES.values()
    }
    assert all(row[5] for row in table("docs/errors.md"))
    statuses = [int(row[0]) for row in table("docs/errors.md")]
    assert statuses == sorted(statuses)


def spoken(name: str, value: float) -> str:
    """A default as it is written: bytes in the largest unit that divides them."""
    if name.endswith("_bytes"):
        for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if value and value % size == 0:
                return f"{value // size:,} {unit}"
    return f"{value:,}"


def test_every_limit_is_documented_as_it_is() -> None:
    """docs/limits.md is the list of limits, in order: the variable that sets each, its default, its unit."""
    documented = [tuple(cell.strip("`") for cell in row[:2]) for row in table("docs/limits.md")]
    assert documented == [
        (f"INDELIBLE_LIMIT_{field.name.upper()}", spoken(field.name, getattr(DEFAULT_LIMITS, field.name)))
        for field in fields(Limits)
    ]
    for variable, _, unit, what in table("docs/limits.md"):
        name = variable.strip("`").lower()
        assert unit
        assert what
        assert unit == "bytes" or not name.endswith("_bytes")
        assert unit == "seconds" or not name.endswith("_seconds")
        assert unit == "events" or not name.endswith("_events")


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_every_limit_can_be_set_and_is_read(name: str) -> None:
    """Its variable sets it, and some code outside the file of limits looks at it."""
    assert getattr(limits_from({f"INDELIBLE_LIMIT_{name.upper()}": "7"}), name) == 7
    sources = (file for file in (ROOT / "src").rglob("*.py") if file.name != "limits.py")
    assert any(re.search(rf"\.{name}\b", file.read_text()) for file in sources)


# ---------------------------------------------------------------------- names


def metric_names() -> set[str]:
    """Every name that a scrape of the server or of a monitor can show."""
    names = set()
    for family in (*telemetry.REGISTRY.collect(), *MonitorMetrics().registry.collect()):
        kinds = {"counter": ("_total",), "histogram": ("", "_bucket", "_count", "_sum")}
        names |= {family.name + ending for ending in kinds.get(family.type, ("",))}
    return names


@pytest.mark.parametrize("page", PAGES)
def test_every_metric_named_is_one(page: str) -> None:
    """An alert on a name that does not exist never rings."""
    named = set(re.findall(r"\bindelible_[a-z_]+\b", PAGES[page]))
    assert named - metric_names() - {"indelible_view"} == set()  # the package of views in Python


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_named_is_one(page: str) -> None:
    """A variable with a slip in it sets nothing."""
    named = set(re.findall(r"\bINDELIBLE_[A-Z_]+\b", PAGES[page])) - {"INDELIBLE_LIMIT_"}
    limits = {f"INDELIBLE_LIMIT_{field.name.upper()}" for field in fields(Limits)}
    read = {
        name
        for file in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"\bINDELIBLE_[A-Z_]+\b", file.read_text())
    }
    assert named - read - limits == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_code_named_is_one(page: str) -> None:
    """Where a refusal is named with its status, the table has it so."""
    for status, name in re.findall(r"\b([45]\d\d) `([a-z_]+)`", PAGES[page]):
        assert CODES[name].status == int(status)
    for name, status in re.findall(r"`([a-z_]+)`, ([45]\d\d)\b", PAGES[page]):
        assert CODES[name].status == int(status)


# ---------------------------------------------------------------------- commands


def commands_in(page: str) -> Iterator[list[str]]:
    """The words of each command of ours in a page, placeholders and all, without the program's name."""
    text = PAGES[page].replace("\\\n", " ")
    lines = re.findall(r"^(?:    |\$ )(?:\$ )?(indelible [^#\n]*)", text, re.MULTILINE)
    for line in [*lines, *(code for code in inline(page) if code.startswith("indelible "))]:
        yield re.sub(r"[\[\]()|…\\]", " ", line).split()[1:]


def command_of(words: list[str]) -> tuple[click.Command | None, list[str]]:
    """The command that some words call, and its options among them."""
    context = click.Context(root)
    command: click.Command | None = root.get_command(context, words[0])
    if isinstance(command, click.Group) and len(words) > 1:
        command = command.get_command(context, words[1])
    return command, [word.split("=")[0] for word in words if word.startswith("--")]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_named_is_one(page: str) -> None:
    """What a reader types works: the command is there, and takes these options."""
    for words in commands_in(page):
        if words[0] in {"COMMAND", "--version"}:
            continue
        command, options = command_of(words)
        assert command is not None, words
        known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        assert set(options) - known - {"--help"} == set(), words


def test_commands_are_found_in_the_pages() -> None:
    """The search above is not blind."""
    found = [words[0] for page in PAGES for words in commands_in(page)]
    assert {"serve", "backup", "restore", "doctor", "key"} <= set(found)
    assert set(found) - {"COMMAND"} <= set(COMMANDS)


# ---------------------------------------------------------------------- paths and links


def paths_in(page: str) -> set[str]:
    """The paths of our HTTP API that a page names, without their parameters."""
    text = PAGES[page]
    spoken_of = [code.split(" ", 1)[-1] for code in inline(page)]
    typed = re.findall(r"(?:localhost:\d+|\$URL|(?:GET|POST|PUT|DELETE) )(/[^\s'\"`)]+)", text)
    found = {re.split(r"[?#]", path)[0] for path in (*spoken_of, *typed) if path.startswith("/")}
    roots = {path.split("/")[1] for path in api_paths()}
    return {path for path in found if path.split("/")[1].split(" ")[0] in roots}


def api_paths() -> list[str]:
    """The paths of the OpenAPI document."""
    routes = all_routes(lambda: None)  # type: ignore[arg-type,return-value]  # no page is asked for
    return list(build_openapi(routes, DEFAULT_LIMITS)["paths"])


def pattern_of(path: str) -> re.Pattern[str]:
    """What a path looks like with its parameters filled in; only a tile's has slashes."""
    text = re.escape(path).replace(r"\{path\}", "[^ ]+")
    return re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/ ]+", text) + "/?")


@pytest.mark.parametrize("page", PAGES)
def test_every_path_named_is_served(page: str) -> None:
    """Each path in a page is one of the OpenAPI document, its parameters filled in or not."""
    served = [pattern_of(path) for path in api_paths()]
    prefixes = {"/".join(path.split("/")[:depth]) + "/" for path in api_paths() for depth in range(2, 6)}
    unknown = {
        path
        for path in paths_in(page)
        if not any(pattern.fullmatch(path) for pattern in served) and path not in prefixes
    }
    assert unknown == set()


def test_paths_are_found_in_the_pages() -> None:
    """The search above is not blind."""
    assert {"/logs", "/logs/{log}/events", "/metrics"} <= {path for page in PAGES for path in paths_in(page)}


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", PAGES[page], re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_inside_leads_somewhere(page: str) -> None:
    """Files and headings that a page links to are there."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", PAGES[page])):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        name = str(target.relative_to(ROOT))
        if not target.exists() or (anchor and anchor not in anchors(name)):
            broken.append(link)
    assert broken == []


FILE = re.compile(r"^(?:[\w.-]+/)+[\w.*-]*$|^[\w-]+\.(?:py|md|wit|sql|toml)$")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_named_is_there(page: str) -> None:
    """A path of this repository in backticks is a file or folder of it, from the top or in the package."""
    named = {code.split(":")[0].split(" ")[0] for code in inline(page)}
    places = (ROOT, ROOT / "src" / "indelible", (ROOT / page).parent)
    tops = {entry.name for place in places for entry in place.iterdir()}
    ours = {name for name in named if FILE.match(name) and name.split("/")[0] in tops}
    missing = {name for name in ours if not any((place / name).exists() for place in places)}
    assert missing == set()


def test_architecture_names_what_it_should() -> None:
    """Every layer of the package stands in ARCHITECTURE.md."""
    layers = {
        entry.name for entry in (ROOT / "src" / "indelible").iterdir() if (entry / "__init__.py").exists()
    }
    named = set(inline("ARCHITECTURE.md"))
    assert {layer for layer in layers if f"{layer}/" not in named} == set()


# ---------------------------------------------------------------------- what no file names

# Each with a class of one letter, so that this file does not find itself.
HOSTS = re.compile(r"py[p]i\.org|python[h]osted|reg[i]stry\.npm|proxy\.g[o]lang|--index-[u]rl|crates\.[i]o/")
LOCKS = {"Cargo.lock", "package-lock.json"}
"""Files that tools write, with the hosts that their formats demand."""


def tracked() -> list[Path]:
    """Every tracked file."""
    try:
        said = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a clone: apt-get install git")
    names = [name for name in said.stdout.decode().split("\0") if name]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_no_file_names_a_host_that_packages_come_from() -> None:
    """Where packages come from is the machine's business."""
    found = []
    for path in tracked():
        content = path.read_bytes()
        if path.name in LOCKS or b"\0" in content[:8_000]:
            continue
        if HOSTS.search(content.decode(errors="replace")):
            found.append(str(path.relative_to(ROOT)))
    assert found == []


def test_every_attack_is_in_the_one_table() -> None:
    """docs/security.md names each file of attacks, and no other; each kind of conflict is explained, too."""
    page = PAGES["docs/security.md"]
    named = set(re.findall(r"`(test_[a-z_]+\.py)`", page))
    assert named == {file.name for file in (ROOT / "tests/attacks").glob("test_*.py")}
    kinds = {row[0].strip("`") for row in table("docs/monitoring.md")}
    assert kinds >= set(get_args(Change))
    assert set(inline("docs/security.md")) >= set(get_args(Change))


def test_the_first_screen_shows_the_component_that_is_shipped() -> None:
    """The digest in the answer to the third call is that of compliance-report as it is."""
    shown = re.search(r'"name":"compliance-report","version":1,"sha256":"([0-9a-f]{8})…"', PAGES["README.md"])
    assert shown is not None
    component = (ROOT / "src" / "indelible" / "views" / "builtin" / "compliance-report.wasm").read_bytes()
    assert hashlib.sha256(component).hexdigest().startswith(shown[1])
