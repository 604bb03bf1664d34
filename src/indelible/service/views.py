"""Asking a view: what the host keeps of the question, how fresh the answer must be, what it covers."""

from collections.abc import Sequence

from indelible.fold.types import Question, World
from indelible.model.errors import Problem
from indelible.model.instants import format_micros
from indelible.model.types import LogInfo
from indelible.service.deployments import Deployments, init_facts, view_id_of
from indelible.service.types import Caller, QueryAnswer
from indelible.store.base import ViewRow
from indelible.views import catalogue, window


class Views(Deployments):
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

        Raises:
            Problem: `not_found`, `forbidden`, what `views.window.parse` refuses, `beyond_head`,
                `view_failed`, `replaying`, `query_refused`, `query_failed`, `query_timeout`,
                `answer_too_large`, `too_large`, `rate_limited`.
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
        question = Question(asked.params, self._body(row, body), self._facts(info, asked, accept))
        at_least = asked.min_sequence if asked.stale else max(head, asked.min_sequence)
        view_id = view_id_of(row)
        answer, applied = await self._residence.query(
            view_id, row.version, question, at_least=at_least, timeout_seconds=asked.wait_seconds
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
        for row in versions:
            if wanted[0] == str(row.version):
                return row
        raise Problem("not_found", "no such version of this view is deployed", version=wanted[0][:20])

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
