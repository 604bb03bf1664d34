"""Measure everything that the README promises, beside the peer in the same run, and write bench/RESULTS.md.

.venv/bin/python -m bench.run            # everything, about twelve minutes
.venv/bin/python -m bench.run --quick    # shorter, nothing is written
"""

import argparse
import os
import platform
import shutil
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench import guests, scale, scenarios, turns
from bench import views as measured
from bench.load import Result, require_wrk
from bench.pace import Pace
from bench.processes import ours, peer, postgres, postgres_binaries
from bench.turns import middle

RESULTS = Path(__file__).parent / "RESULTS.md"
console = Console(stderr=True)


class Report:
    """Rows of the table, shown as they come, and how fast the machine was beside each."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []
        self.pace = Pace()

    def add(self, what: str, measured: str, wanted: str = "") -> None:
        """Add a row and show it."""
        self.rows.append((what, measured, wanted))
        self.pace.look()
        console.print(
            f"[bold]{what}[/bold]  {measured}" + (f"  [dim](wanted: {wanted})[/dim]" if wanted else "")
        )


def rate(result: Result) -> str:
    """Answers a second with their latencies."""
    others = f", refused {result.refused}, broken {result.broken}" if result.refused or result.broken else ""
    return f"{result.per_second:,.0f}/s, p50 {result.p50_ms:.1f} ms, p99 {result.p99_ms:.1f} ms{others}"


def spread(results: list[Result]) -> str:
    """The middle one, and the slowest and the quickest."""
    return f"{rate(middle(results))} ({results[0].per_second:,.0f} to {results[-1].per_second:,.0f})"


def single_appends(report: Report, work: Path, seconds: float, *, keyed: bool) -> None:
    """Single appends to a store of their own, whose size is taken when it was closed."""
    data = work / ("keyed" if keyed else "single")
    with ours(data) as server:
        measured = scenarios.singles(server, seconds, keyed=keyed)
    events = sum(one.requests for one in measured)
    beyond = scenarios.disk_bytes(data) / events - len(scenarios.EVENT)
    what = "single appends, 64 connections" + (", an Idempotency-Key each" if keyed else "")
    report.add(what, spread(measured), "7,000/s" if keyed else "10,000/s, p99 under 25 ms")
    wanted = "under 200" if keyed else "under 130"
    report.add(f"disk beyond the payload, {what}", f"{beyond:.0f} bytes an event", wanted)


def appends(report: Report, work: Path, seconds: float) -> None:
    """Single appends and batches, and the peer."""
    single_appends(report, work, seconds, keyed=False)
    single_appends(report, work, seconds, keyed=True)
    with ours(work / "appends") as server:
        many = scenarios.batches(server, seconds)
        report.add(
            "batches of 1,000", f"{many.per_second * scenarios.BATCH:,.0f} events/s", "100,000 events/s"
        )
        beside = scenarios.other_tenant(server, seconds)
        report.add(
            "single appends while another tenant pours in 16 MiB batches",
            f"{rate(beside.light)}, poured {beside.poured_mib_per_second:.0f} MiB/s",
            "p99 under 50 ms",
        )
    if postgres_binaries() is None:
        report.add("the peer", "not run: PostgreSQL is missing (apt-get install postgresql-15)")
        return
    with postgres(work / "postgres") as database:
        beside_peer(report, work, database, seconds)
        on_postgres(report, work / "on-postgres", database, seconds)
        nodes(report, work / "on-postgres", database, seconds)
    archive(report, work, seconds)


def beside_peer(report: Report, work: Path, database: str, seconds: float) -> None:
    """The peer, ours on SQLite and ours on the PostgreSQL that the peer uses, by turns."""
    each = seconds / scenarios.ROUNDS
    with (
        ours(work / "beside") as embedded,
        ours(work / "on-postgres", database) as scaled,
        peer(database) as url,
    ):
        loads = {
            name: scenarios.single_load(server, scenarios.make_log(server, "beside"), each)
            for name, server in (("embedded", embedded), ("scaled", scaled))
        }
        found = turns.by_turns({**loads, "peer": scenarios.peer_load(url, each)}, 2 * scenarios.ROUNDS)
    report.add("peer: FastAPI + asyncpg + INSERT, by turns with the next two", rate(middle(found["peer"])))
    for what, name, wanted in (
        ("", "embedded", "4 times"),
        (" on the peer's PostgreSQL", "scaled", "3 times"),
    ):
        against = turns.ratio(found[name], found["peer"])
        report.add(f"single appends{what} against the peer", against.says(), wanted)


def on_postgres(report: Report, data: Path, database: str, seconds: float) -> None:
    """One node on PostgreSQL: the same appends."""
    with ours(data, database) as server:
        single = scenarios.singles(server, seconds, keyed=False)
        report.add("single appends on PostgreSQL", spread(single))
        keyed = scenarios.singles(server, seconds, keyed=True)
        report.add("single appends on PostgreSQL, an Idempotency-Key each", spread(keyed))
        many = scenarios.batches(server, seconds)
        report.add("batches of 1,000 on PostgreSQL", f"{many.per_second * scenarios.BATCH:,.0f} events/s")
        log = scenarios.make_log(server, "asked")
        scenarios.fill(server, log, 10_000)
        scenarios.replay(server, log, "compliance-report", None)
        asked = scenarios.append_then_query(server, log, 200)
        report.add(
            "append, then query the warm view, on PostgreSQL",
            f"query p50 {asked['query_p50_ms']:.1f} ms, p99 {asked['query_p99_ms']:.1f} ms",
        )


def nodes(report: Report, data: Path, database: str, seconds: float) -> None:
    """Two nodes against one, whose cores they share with the database and the load."""
    found = scale.two_nodes(data, database, seconds)
    for what, both in (("a log each", found.apart), ("the same log", found.same)):
        report.add(
            f"single appends at two nodes, {what}, 32 connections a node",
            f"{both:,.0f}/s, {both / found.alone:.2f} times one node ({found.alone:,.0f}/s)",
        )


def archive(report: Report, work: Path, seconds: float) -> None:
    """What archiving costs who appends, and what it stores."""
    found = scale.archiving(work / "archive", seconds)
    report.add(
        "single appends while they are archived, against without, by turns, 64 connections",
        f"{found.against.says()}; {rate(found.beside)}",
        "0.85 times",
    )
    report.add(
        "the archive of these",
        f"{found.objects / found.events * 1e6:,.0f} objects a million events; an event has"
        f" {found.beyond_payload_bytes:.0f} bytes beyond its payload, {found.stored_bytes:.0f} in all once"
        " compressed",
        "under 130 bytes beyond",
    )


def views(report: Report, work: Path, events: int) -> None:
    """Replays, questions, start-up and memory on a long log."""
    data = work / "views"
    with ours(data) as server:
        log = scenarios.make_log(server, "small")
        scenarios.fill(server, log, 10_000)
        report.add("server's own memory at 10,000 events", mib(server.own_memory_bytes()))
        log = scenarios.make_log(server, "long")
        seconds = scenarios.fill(server, log, events)
        report.add(f"filled a log of {events:,} events", f"{events / seconds:,.0f} events/s (one connection)")
        report.add("server's own memory after that", mib(server.own_memory_bytes()), "does not grow")
    with ours(data) as server:
        result = scenarios.replay(server, log, "compliance-report", None)
        report.add(
            "replay into compliance-report",
            f"{result['events_per_second']:,.0f} events/s, {mib(result['memory_bytes'])} of view memory",
            "300,000 events/s",
        )
        asked = scenarios.append_then_query(server, log, 500)
        report.add(
            "append, then query the warm view",
            f"query p50 {asked['query_p50_ms']:.1f} ms, p99 {asked['query_p99_ms']:.1f} ms; both"
            f" p50 {asked['append_and_query_p50_ms']:.1f} ms, p99 {asked['append_and_query_p99_ms']:.1f} ms",
            "p50 under 5 ms, p99 under 20 ms",
        )
        single = scenarios.make_log(server, "single-appends")
        scenarios.fill_singly(server, single, 10)
        result = scenarios.replay(server, single, "compliance-report", None)
        report.add(
            "replay of a log of single appends into compliance-report",
            f"{result['events_per_second']:,.0f} events/s ({result['events']:,.0f} events)",
        )
    with ours(data) as server:
        report.add(
            f"start with {events:,} events and a snapshot",
            f"ready in {server.ready_seconds:.2f} s",
            "under 3 s",
        )
        started = time.perf_counter()
        with server.client() as client:
            client.post(
                f"{log}/views/compliance-report/query", params={"actor": "probe_1"}
            ).raise_for_status()
        report.add("first answer of the long view after that start", f"{time.perf_counter() - started:.2f} s")
        held = scenarios.view_memory_bytes(server, log, "compliance-report")
        whole = server.own_memory_bytes()
        report.add("memory with the long view in it", f"{mib(whole)}, of which the view has {mib(held)}")
    scenarios.forget_recent_views(data)
    with ours(data) as server:
        own = scenarios.settled_memory_bytes(server)
        if scenarios.view_memory_bytes(server, log, "compliance-report"):
            raise RuntimeError("the long view came into memory although nobody asked it")
        report.add(f"server's own memory at {events:,} events, no view in it", mib(own), "does not grow")
    grown(report, data, log, events)


def many_views(report: Report, work: Path, events: int) -> None:
    """What views cost: guest languages, `report`, twenty of one log, a cold one, and one of a long log."""
    with ours(work / "many") as server:
        log = scenarios.make_log(server, "views")
        scenarios.fill(server, log, events)
        components = list(guests.components())
        for language, component, wanted in components:
            what = f"{language} guest over {events:,} events"
            if isinstance(component, str):
                report.add(what, f"not run: {component}", wanted)
            else:
                report.add(what, folded(measured.guest(server, log, language, component)), wanted)
        plain = measured.plain_python(events)
        report.add("the same fold in plain Python, payloads in memory, not kept", f"{plain:,.0f} events/s")
        compared = measured.report(server, log)
        times = compared.compliance.per_second / compared.report.per_second
        report.add("`report`, object-lifecycle, by turns with the next", folded(compared.report))
        report.add("`compliance-report` on the same log", folded(compared.compliance))
        report.add("`report` takes as long as `compliance-report`", f"{times:.2f} times", "2 times")
        rust = components[0][1]
        if isinstance(rust, bytes):
            took = measured.twenty(server, log, rust)
            report.add(
                f"{measured.VIEWS} views of one log against {measured.VIEWS} times one",
                f"{took.all_cpu / took.one_cpu / measured.VIEWS:.2f} times its CPU,"
                f" {took.all_seconds / took.one_seconds / measured.VIEWS:.2f} times its seconds",
                "1.3 times",
            )
    seconds = measured.cold(work / "cold", events)
    report.add(f"first answer of a cold view of {events:,} events", f"{seconds:.2f} s", "under 2 s")


def folded(one: measured.Folded) -> str:
    """A replay in words."""
    return f"{one.per_second:,.0f} events/s, {mib(one.memory_bytes)}, query p50 {one.query_ms:.1f} ms"


def grown(report: Report, data: Path, log: str, events: int) -> None:
    """The long log twice as long, while its view follows; then a start, and a first answer."""
    with ours(data) as server:
        scenarios.fill(server, log, events)
        asked = scenarios.append_then_query(server, log, 200)
        held = scenarios.view_memory_bytes(server, log, "compliance-report")
        report.add(
            f"compliance-report at {2 * events:,} events",
            f"query p50 {asked['query_p50_ms']:.1f} ms, p99 {asked['query_p99_ms']:.1f} ms,"
            f" {mib(held)} of view memory",
        )
    with ours(data) as server, server.client() as client:
        started = time.perf_counter()
        client.post(f"{log}/views/compliance-report/query", params={"actor": "probe_1"}).raise_for_status()
        report.add("its first answer after a start", f"{time.perf_counter() - started:.2f} s")


def evidence(report: Report, work: Path, events: int) -> None:
    """Evidence of a long log: made, fetched, and verified on one core without the server."""
    with ours(work / "evidence") as server:
        log = scenarios.make_log(server, "proved")
        scenarios.fill(server, log, events)
        took = scenarios.verify(server, log, work)
    report.add(
        f"evidence of {events:,} events, made and fetched",
        f"{took.fetch_seconds:.1f} s, {mib(took.file_bytes)}",
    )
    report.add(
        f"`indelible verify` of that, on one core, {mib(took.memory_bytes)} at most",
        f"{took.seconds:.1f} s ({took.cpu_seconds:.1f} s of CPU)",
        "15 s",
    )


def mib(size: float) -> str:
    """Bytes as MiB."""
    return f"{size / (1 << 20):.0f} MiB"


def write(report: Report, seconds: float) -> None:
    """Write the results with the machine and the commit they hold for."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in cpus if "model name" in line), "?")
    lines = [
        "# Results",
        "",
        "Written by `python -m bench.run`. Load generator, server and PostgreSQL share the machine's cores,",
        "so ratios say more than rates. Every append is on stable storage before its answer. Single appends",
        "run in five rounds: the middle one stands here, and in brackets the slowest and the quickest.",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d}, commit {commit}",
        f"- {os.cpu_count()} cores ({model}), {memory:.0f} GiB, Python {platform.python_version()}",
        f"- {report.pace.says()}",
        f"- {seconds:.0f} s a load",
        "",
        "| what | measured | wanted |",
        "|---|---|---|",
        *(f"| {what} | {measured} | {wanted} |" for what, measured, wanted in report.rows),
        "",
    ]
    RESULTS.write_text("\n".join(lines))
    console.print(f"written to {RESULTS}")


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short loads, a short log, nothing written")
    parser.add_argument(
        "--only", choices=("appends", "views", "many", "verify"), help="one part; nothing written"
    )
    options = parser.parse_args()
    if options.only not in {"verify", "many"}:
        require_wrk()
    report, seconds, events = (
        Report(),
        5.0 if options.quick else 20.0,
        200_000 if options.quick else 5_000_000,
    )
    work = Path(tempfile.mkdtemp(prefix="indelible-bench-"))
    work.chmod(0o755)  # PostgreSQL runs as a user of its own below it
    try:
        if options.only in {None, "appends"}:
            appends(report, work, seconds)
        if options.only in {None, "views"}:
            views(report, work, events)
        if options.only in {None, "many"}:
            many_views(report, work, events // 5)
        if options.only in {None, "verify"}:
            evidence(report, work, events // 5)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if not options.quick and not options.only:
        write(report, seconds)


if __name__ == "__main__":
    main()
