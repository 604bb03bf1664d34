"""The signing keys of logs, derived from one master secret (formats.md, Origin and keys)."""

from collections import OrderedDict

from indelible.notes.keys import Signer, derive_seed

CACHED_SIGNERS = 4_096


class Signers:
    """One Ed25519 key a log. Any thread."""

    def __init__(self, master_secret: bytes) -> None:
        self._master = master_secret
        self._signers: OrderedDict[str, Signer] = OrderedDict()

    def signer(self, origin: str) -> Signer:
        """The key of the log with this origin, which is the key's name too."""
        signer = self._signers.get(origin)
        if signer is None:
            signer = Signer(origin, derive_seed(self._master, origin))
            self._signers[origin] = signer
            if len(self._signers) > CACHED_SIGNERS:
                self._signers.popitem(last=False)
        return signer
