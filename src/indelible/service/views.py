"""Asking a view: what the host keeps of the question, how fresh the answer must be, what it covers."""

from collections.abc import Sequence
from contextlib import suppress

from indelible.fold.types import Question, World
from indelible.model.errors import Problem
from indelible.model.instants import format_micros
from indelible.model.types import LogInfo
from indelible.service.deployments import deployment_of, init_facts, view_id_of
from indelible.service.moments import sequence_at
from indelible.service.types import Caller, QueryAnswer
from indelible.service.versions import Versions, numbered
from indelible.store.base import ViewRow
from indelible.views import catalogue, window
from indelible.views.refusals import Gone

CHANGES_SURVIVED = 4
"""How often the version that a question waits for may be replaced meanwhile before its caller is told."""


class Views(Versions):
    """The calls on `/logs/{log}/views`, questions included."""

    def catalogue(self) -> bytes:
        """What can be deployed by name, as JSON. It is the same for every caller."""
        return catalogue.document()

    async def query(
        self,
        caller: Caller,
        log: str,
        name: str,
        *,
        params: Sequence[tuple[str, str]],
        body: bytes = b"",
        accept: str | None = None,
    ) -> QueryAnswer:
        """Ask a view. The answer covers every append that any node acknowledged before the call.

        With `at` it is of exactly one event, as the version stood there.

        Raises:
            Problem: `not_found`, `forbidden`, what `views.window.parse` refuses, `beyond_head`,
                `view_failed`, `replaying`, `query_refused`, `query_failed`, `query_timeout`,
                `answer_too_large`, `too_large`, `rate_limited`; with a time in `at` also what keeps a log
                from being written, as it is told to date nothing before it any more.
        """
        info = self._access.log(caller, log, "query")
        self._access.rates.query(caller.key_id, caller.workspace)
        row, asked = self._understand(caller, info, name, params)
        head = self._core.heads.fresh(info.key).size
        if asked.min_sequence > head:
            raise Problem("beyond_head", f"the log has {head} events", head=head)
        limit = self._core.limits.query_body_bytes
        if len(body) > limit:
            raise Problem("too_large", "the question is over the limit", limit=limit, unit="bytes")
        if caller.preset == "auditor":
            await self._auditing.queried(caller, info, name, params)
            # Meanwhile a new version may have taken the place of the one that was found.
            row, asked = self._understand(caller, info, name, params)
        upto = await sequence_at(self._core, info, asked)
        at_least = asked.min_sequence if asked.stale else max(head, asked.min_sequence)
        for _ in range(CHANGES_SURVIVED):
            question = Question(asked.params, self._body(row, body), self._facts(info, asked, accept))
            with suppress(Gone):
                return await self._put(info, row, question, upto, at_least, asked.wait_seconds)
            row, asked = self._understand(caller, info, name, params)
        raise Gone("replaying", "This view changes its version all the time; ask again.", retry_after=1)

    async def _put(
        self,
        info: LogInfo,
        row: ViewRow,
        question: Question,
        upto: int | None,
        at_least: int,
        seconds: float | None,
    ) -> QueryAnswer:
        """Put a question to the version that follows the log, or to a state that is made for it.

        That is for what stands at an event (`upto`) and for versions that are not followed: retired ones, and
        one that was taken into use a moment ago, by another node or in this one.
        """
        view_id, residence = view_id_of(row), self._residence
        if upto is None and residence.follows(view_id, row.version):
            answer, applied = await residence.query(
                view_id, row.version, question, at_least=at_least, timeout_seconds=seconds
            )
        else:
            answer, applied = await residence.query_past(
                deployment_of(row, info), question, upto=upto, at_least=at_least, timeout_seconds=seconds
            )
        label = f"{row.name}@{row.version} sha256:{row.component_sha256}"
        return QueryAnswer(answer.content_type, answer.body, applied, label)

    def prepare(
        self, caller: Caller, info: LogInfo, name: str, params: Sequence[tuple[str, str]], body: bytes
    ) -> tuple[ViewRow, window.Asked, Question]:
        """A question whose answer is to come with its proof, and who is to answer it.

        The view is told no `accept`: what was accepted is a zip.

        Raises:
            Problem: as `query`, and what evidence is not made for.
        """
        row, asked = self._understand(caller, info, name, params, evidence=True)
        return row, asked, Question(asked.params, self._body(row, body), self._facts(info, asked, None))

    def _understand(
        self,
        caller: Caller,
        info: LogInfo,
        name: str,
        params: Sequence[tuple[str, str]],
        *,
        evidence: bool = False,
    ) -> tuple[ViewRow, window.Asked]:
        """The version that is to answer now, and the question as its world reads it."""
        row = self._choose(self.versions(caller, info, name), params)
        world = World(row.world)
        return row, window.parse(params, world=world, limits=self._core.limits, evidence=evidence)

    def _choose(self, versions: Sequence[ViewRow], params: Sequence[tuple[str, str]]) -> ViewRow:
        wanted = [value for name, value in params if name == "version"]
        if not wanted:
            return versions[0]
        in_use = next((row for row in versions if wanted[0] == str(row.version)), None)
        return in_use or numbered(self._all(versions), wanted[0])

    def _body(self, row: ViewRow, body: bytes) -> str | bytes:
        if World(row.world) is World.MACHINE:
            return body
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise Problem("malformed", "the question's body is not UTF-8") from None

    def _facts(self, info: LogInfo, asked: window.Asked, accept: str | None) -> tuple[tuple[str, str], ...]:
        now = format_micros(self._core.clock.wall_micros())
        accepted = () if accept is None else (("accept", accept),)
        return (*asked.facts, ("asked-at", now), *init_facts(info), *accepted)
