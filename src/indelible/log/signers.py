"""Who holds the signing keys of logs: the master secret that they derive from, or a command (HSM, KMS).

A key is named by its log's origin and its generation: 0 for the first, one more for each rotation. Which
holder has it is stored with it, so a deployment can move from one to the other by rotating.
"""

from collections import OrderedDict
from typing import Protocol

from indelible.log.command import SignerCommand
from indelible.model.errors import Problem
from indelible.notes.keys import NoteSigner, Signer, Verifier, derive_seed

CACHED_SIGNERS = 4_096
DERIVED = "derived"
COMMAND = "command"


class LogSigner(NoteSigner, Protocol):
    """A key that signs a log's heads. Both members may block, and raise Problem `signer_failed`."""

    @property
    def verifier(self) -> Verifier: ...  # noqa: D102 - its public half


class Signers:
    """The keys of all logs. Any thread."""

    def __init__(self, master_secret: bytes, command: SignerCommand | None = None) -> None:
        self._master = master_secret
        self.command = command
        self._signers: OrderedDict[tuple[str, int], Signer] = OrderedDict()

    @property
    def holder(self) -> str:
        """Who makes new keys."""
        return DERIVED if self.command is None else COMMAND

    def signer(self, origin: str, generation: int = 0) -> Signer:
        """The key that derives from the master secret for a log's origin, which is the key's name too."""
        at = (origin, generation)
        signer = self._signers.get(at)
        if signer is None:
            signer = Signer(origin, derive_seed(self._master, origin, generation))
            self._signers[at] = signer
            if len(self._signers) > CACHED_SIGNERS:
                self._signers.popitem(last=False)
        return signer

    def new(self, origin: str, generation: int) -> LogSigner:
        """A key that no log has yet, of the holder that makes new keys.

        Raises:
            Problem: `signer_failed`.
        """
        if self.command is None:
            return self.signer(origin, generation)
        return self.command.signer(origin, generation, self.command.public_key(origin, generation))

    def known(self, holder: str, verifier: Verifier, generation: int) -> LogSigner:
        """A key that a log has: what it signs is its stored public half's, or refused.

        Raises:
            Problem: `signer_failed`: it is held by a command, and this server has none.
        """
        if holder == DERIVED:
            return self.signer(verifier.name, generation)
        if self.command is None:
            raise Problem(
                "signer_failed",
                f"the key {verifier.key_id.hex()} is held by a command: start with --signer-command",
            )
        return self.command.signer(verifier.name, generation, verifier)
