"""Whether the server lives, whether it is ready, and its metrics."""

from indelible import telemetry
from indelible.log.core import Core
from indelible.service.types import Readiness


class Status:
    """The calls that need no key. All are quick and touch no disk."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.stopping = False
        self.broken: str | None = None

    def healthy(self) -> bool:
        """Whether the process can do its work at all; false asks for a restart."""
        return self.broken is None

    def ready(self) -> Readiness:
        """Whether requests should be sent here, and what deserves a look.

        A log that is refused does not make the server unready: the others go on.
        """
        refused = [
            {"log_id": str(mismatch.log.log_id), "found": mismatch.found}
            for mismatch in self._core.gate.refused()
        ]
        details: dict[str, object] = {
            "deployment": self._core.deployment,
            "read_only": self._core.gate.read_only,
            "stopping": self.stopping,
            "broken": self.broken,
            "refused_logs": len(refused),
            "refused": refused[:100],
        }
        if self._core.witnesses is not None:
            details["witnesses"] = self._core.witnesses.state()
        return Readiness(self.broken is None and not self.stopping, details)

    def metrics(self) -> bytes:
        """Prometheus text."""
        return telemetry.render_metrics()
