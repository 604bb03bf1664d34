"""Whether the server lives, whether it is ready, and its metrics."""

from collections.abc import Callable

from indelible import telemetry
from indelible.log.archiver import Archiver
from indelible.log.core import Core
from indelible.log.sampling import Sampler
from indelible.service.types import Readiness


class Status:
    """The calls that need no key. All are quick and touch no disk."""

    def __init__(
        self,
        core: Core,
        sampler: Sampler,
        archiver: Archiver | None = None,
        database: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`database` says why a database that nodes share does not answer."""
        self._core = core
        self._archiver = archiver
        self._sampler = sampler
        self._database = database
        self.stopping = False
        self.broken: str | None = None

    def healthy(self) -> bool:
        """Whether the process can do its work at all; false asks for a restart."""
        return self.broken is None

    def ready(self) -> Readiness:
        """Whether requests should be sent here, and what deserves a look.

        A log that is refused does not make the server unready: the others go on. Nor does a signer command
        or an object store that fails: appends go on, and checkpoints and the archive wait. A database that
        does not answer does.
        """
        refused = [
            {"log_id": str(mismatch.log.log_id), "found": mismatch.found}
            for mismatch in self._core.gate.refused()
        ]
        failure = self._database()
        signer = self._core.signers.command
        details: dict[str, object] = {
            "deployment": self._core.deployment,
            "read_only": self._core.gate.read_only,
            "stopping": self.stopping,
            "broken": self.broken,
            "database": failure,
            "signer": None if signer is None else {"failed": signer.failure},
            "refused_logs": len(refused),
            "refused": refused[:100],
            "fsck": self._fsck(),
            "objects": {"failed": self._objects_failed()},
            "archive": None if self._archiver is None else self._archiver.status()._asdict(),
        }
        if self._core.witnesses is not None:
            details["witnesses"] = self._core.witnesses.state()
        return Readiness(self.broken is None and not self.stopping and failure is None, details)

    def _objects_failed(self) -> str | None:
        """That the bucket does not answer; which one it is and why stands in the log, as anybody may ask."""
        failing = self._core.objects.failure is not None
        return "the object store does not answer; the server's log says more" if failing else None

    def _fsck(self) -> dict[str, object]:
        """What the server found in its own store, the newest last."""
        found = [
            {
                "log_id": str(finding.log.log_id),
                "sequence": finding.sequence,
                "kind": finding.kind,
                "found": finding.found,
            }
            for finding in self._sampler.findings()[-100:]
        ]
        return {"events": self._sampler.events, "differences": self._sampler.differences, "found": found}

    def metrics(self) -> bytes:
        """Prometheus text."""
        return telemetry.render_metrics()
