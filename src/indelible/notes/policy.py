"""Which witnesses must have cosigned a checkpoint: a policy file (C2SP tlog-policy).

    log <verifier key> [<url>]
    witness <name> <verifier key> [<url>]
    group <name> all|any|<k> <name>…
    quorum <name>|none

One definition a line, names before their use, `#` begins a comment line, exactly one quorum. Pure.
"""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from indelible.notes.cosignature import CosignatureVerifier
from indelible.notes.keys import Verifier
from indelible.notes.strict import NoteError

NONE = "none"
DEFINITIONS_MAX = 1_024
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_COUNT = re.compile(r"[1-9][0-9]{0,3}\Z", re.ASCII)


class Witness(NamedTuple):
    """A witness: its name inside the policy, its key, and where it takes checkpoints (None: unknown)."""

    name: str
    verifier: CosignatureVerifier
    url: str | None


class Rule(NamedTuple):
    """A group: at least `least` of its members, witnesses or groups."""

    least: int
    members: tuple[str, ...]


class WitnessPolicy(NamedTuple):
    """What a policy file says. `logs` are those that it names, by their keys."""

    logs: tuple[Verifier, ...]
    witnesses: tuple[Witness, ...]
    groups: Mapping[str, Rule]
    quorum: str

    def met(self, cosigned: Collection[str]) -> bool:
        """Say whether the cosignatures of these witnesses, by their names here, are enough."""
        return self.quorum == NONE or self._holds(self.quorum, cosigned)

    def _holds(self, name: str, cosigned: Collection[str]) -> bool:
        rule = self.groups.get(name)
        if rule is None:
            return name in cosigned
        return sum(self._holds(member, cosigned) for member in rule.members) >= rule.least


def parse_policy(text: str) -> WitnessPolicy:
    """Read a policy.

    Raises:
        NoteError: it is none, with the number of the line that is wrong.
    """
    lines = _Lines()
    for number, line in enumerate(text.split("\n"), 1):
        try:
            lines.read(line)
        except NoteError as error:
            raise NoteError(f"line {number} of the policy: {error}") from None
    if lines.quorum is None:
        raise NoteError("A policy has a quorum line: `quorum NAME`, or `quorum none`.")
    return WitnessPolicy(tuple(lines.logs), tuple(lines.witnesses.values()), lines.groups, lines.quorum)


class _Lines:
    """What the lines so far define."""

    def __init__(self) -> None:
        self.logs: list[Verifier] = []
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, Rule] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def read(self, line: str) -> None:
        if _CONTROL.search(line):
            raise NoteError("It has a control character.")
        words = [word for word in re.split("[ \t]+", line) if word]
        if not words or words[0].startswith("#"):
            return
        if len(self.logs) + len(self.witnesses) + len(self.groups) >= DEFINITIONS_MAX:
            raise NoteError(f"A policy defines at most {DEFINITIONS_MAX} logs, witnesses and groups.")
        match words:
            case ["log", key, *url] if len(url) < 2:  # noqa: PLR2004 - one URL or none
                self._log(key)
            case ["witness", name, key, *url] if len(url) < 2:  # noqa: PLR2004 - one URL or none
                self._witness(name, key, url[0] if url else None)
            case ["group", name, least, *members] if members:
                self._group(name, least, members)
            case ["quorum", name] if self.quorum is None:
                self.quorum = name if name == NONE else self._known(name)
            case _:
                raise NoteError("It is no log, witness, group or first quorum line.")

    def _log(self, key: str) -> None:
        verifier = Verifier.parse(key)
        if any(verifier.public_key == log.public_key for log in self.logs):
            raise NoteError("That log's key stands there twice.")
        self.logs.append(verifier)

    def _witness(self, name: str, key: str, url: str | None) -> None:
        verifier = CosignatureVerifier.parse(key)
        if any(verifier.public_key == known.verifier.public_key for known in self.witnesses.values()):
            raise NoteError("That witness's key stands there twice, so one witness would count as two.")
        self.witnesses[self._new(name)] = Witness(name, verifier, url)

    def _group(self, name: str, least: str, members: list[str]) -> None:
        for member in members:
            self._known(member)
            if member in self._members:
                raise NoteError(f"{member} is in a group already.")
            self._members.add(member)
        count = {"all": len(members), "any": 1}.get(least) or (int(least) if _COUNT.match(least) else 0)
        if not 1 <= count <= len(members):
            raise NoteError(f"A group takes `all`, `any` or a number from 1 to {len(members)}.")
        self.groups[self._new(name)] = Rule(count, tuple(members))

    def _new(self, name: str) -> str:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise NoteError(f"The name {name} is taken.")
        return name

    def _known(self, name: str) -> str:
        if name not in self.witnesses and name not in self.groups:
            raise NoteError(f"{name} is not defined above.")
        return name
