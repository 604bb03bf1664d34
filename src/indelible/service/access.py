"""Who is calling, and what they may touch.

What a caller may not see does not exist for them: another workspace's log, a log that the key is not
restricted to, and a log that was never made give the same 404 after the same look-ups.
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from indelible.model.clock import Clock
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.model.names import is_lookup_name, is_system_name, parse_uuid
from indelible.model.types import NO_AUTH_WRITER, ROOT_WRITER, LogInfo
from indelible.service import secrets
from indelible.service.rates import Rates
from indelible.service.types import SCOPES, Caller
from indelible.store.base import KeyRow, Reader

CACHED_KEYS = 10_000
CACHED_LOGS = 65_536
_NOBODY = bytes(32)  # compared with when there is no such key, so that unknown ids cost the same


class _Known(NamedTuple):
    row: KeyRow | None  # None for the root key, which is no row
    caller: Caller


def _holds(row: KeyRow, now: int) -> bool:
    early = row.not_before is not None and now < row.not_before
    late = row.expires is not None and now >= row.expires
    return row.revoked is None and not early and not late


def _caller(row: KeyRow) -> Caller:
    return Caller(
        writer=uuid.UUID(row.key_id).bytes,
        key_id=row.key_id,
        workspace=row.workspace,
        scopes=frozenset(row.scopes),
        logs=None if row.logs is None else frozenset(row.logs),
        views=None if row.views is None else frozenset(row.views),
        preset=row.preset,
    )


class Access:
    """Authenticates and authorises. Used on the event loop; look-ups that miss read one row."""

    def __init__(
        self,
        reader: Reader,
        limits: Limits,
        clock: Clock,
        *,
        root_digest: bytes | None,
        default_workspace: int,
    ) -> None:
        self._reader = reader
        self._wall_micros = clock.wall_micros
        self._root_digest = root_digest
        everything = frozenset(SCOPES)
        writer = ROOT_WRITER if root_digest else NO_AUTH_WRITER
        self._root = Caller(
            writer.bytes, str(writer), default_workspace, everything, None, None, is_root=True
        )
        self._proved: OrderedDict[bytes, _Known] = OrderedDict()  # by the digest of a right header
        self._logs: OrderedDict[tuple[int, str], LogInfo] = OrderedDict()
        self._public: OrderedDict[str, LogInfo] = OrderedDict()
        self.rates = Rates(limits)
        self.on_forbidden: Callable[[Caller, Problem], None] = lambda _caller, _problem: None

    @property
    def system(self) -> Caller:
        """The root of the deployment, as who the server itself writes to `_audit`."""
        return self._root

    # ------------------------------------------------------------------ who

    def authenticate(self, authorization: str | None) -> Caller:
        """Find the caller of an `Authorization: Bearer …` header.

        Raises:
            Problem: `unauthenticated`, the same words whether the key is unknown, wrong or revoked.
        """
        if self._root_digest is None:  # served without keys, to loopback only
            return self._root
        presented = secrets.digest(authorization or "")
        known = self._proved.get(presented)
        if known is None:
            known = self._prove(authorization, presented)
        if known.row is not None and not _holds(known.row, self._wall_micros()):
            raise Problem("unauthenticated", "the key is unknown, revoked or not valid now")
        return known.caller

    def _prove(self, authorization: str | None, presented: bytes) -> _Known:
        """Find whose secret this is by the id in it, and remember it by the digest of the header."""
        if not authorization or authorization[:7].lower() != "bearer ":
            raise Problem("unauthenticated", "send Authorization: Bearer with a key of this server")
        secret = authorization[7:].strip()
        key_id = secrets.key_id(secret)
        row = self._reader.key(key_id) if key_id else None
        stored = row.secret_hash if row else self._root_digest or _NOBODY
        if not secrets.same(secrets.digest(secret), stored):
            raise Problem("unauthenticated", "the key is unknown, revoked or not valid now")
        known = _Known(row, _caller(row)) if row else _Known(None, self._root)
        self._proved[presented] = known
        if len(self._proved) > CACHED_KEYS:
            self._proved.popitem(last=False)
        return known

    def forget_key(self, key_id: str) -> None:
        """A key was changed: its next use reads it again."""
        for digest in [digest for digest, known in self._proved.items() if known.caller.key_id == key_id]:
            del self._proved[digest]

    # ------------------------------------------------------------------ what

    def need(self, caller: Caller, scope: str) -> None:
        """Raise `forbidden` unless the caller's key has `scope`."""
        if scope not in caller.scopes:
            problem = Problem("forbidden", f"the key needs the scope {scope}", scope=scope)
            self.on_forbidden(caller, problem)
            raise problem

    def log(self, caller: Caller, reference: str, scope: str) -> LogInfo:
        """Find a log by its id or name for a caller with `scope`.

        Raises:
            Problem: `not_found`, `forbidden`.
        """
        info = self._find(caller.workspace, reference)
        if info is None or (caller.logs is not None and str(info.log_id) not in caller.logs):
            raise Problem("not_found", "there is no such log, or the key may not see it")
        self.need(caller, scope)
        return info

    def public(self, reference: str) -> LogInfo | None:
        """The log with this id, when its proofs need no key; by name a log is its workspace's alone.

        A log that is not public and one that does not exist cost the same look-up, every time.
        """
        found = self._public.get(reference)
        if found is not None:
            return found
        log_id = parse_uuid(reference)
        found = None if log_id is None else self._reader.log_by_id(log_id.bytes)
        if found is None or not found.public_proofs:
            return None
        self._public[reference] = found
        if len(self._public) > CACHED_LOGS:
            self._public.popitem(last=False)
        return found

    def provable(self, caller: Caller, reference: str) -> LogInfo:
        """Find a log whose checkpoint, tiles and keys a caller may see: by `read`, or because it is public.

        Raises:
            Problem: as `log`.
        """
        return self.public(reference) or self.log(caller, reference, "read")

    def forget_log(self, info: LogInfo) -> None:
        """A log was changed: its next use reads it again."""
        for reference in (str(info.log_id), info.name):
            self._logs.pop((info.workspace, reference), None)
        self._public.clear()  # an id can be written in upper case, too

    def forget(self) -> None:
        """Another process changed keys or logs: each is read again at its next use."""
        self._proved.clear()
        self._logs.clear()
        self._public.clear()

    def writable(self, caller: Caller, reference: str) -> LogInfo:
        """Find a log to append to; a log of the system is readable but written by nobody.

        Raises:
            Problem: `not_found`, `forbidden`, `system_log`.
        """
        info = self.log(caller, reference, "append")
        if is_system_name(info.name):
            raise Problem("system_log", f"{info.name} is written by the server alone")
        return info

    def check_view(self, caller: Caller, name: str) -> None:
        """Raise `not_found` when the key is restricted to other views."""
        if caller.views is not None and name not in caller.views:
            raise Problem("not_found", "there is no such view, or the key may not see it")

    def _find(self, workspace: int, reference: str) -> LogInfo | None:
        found = self._logs.get((workspace, reference))
        if found is not None:
            return found
        log_id = parse_uuid(reference)
        if log_id is not None:
            found = self._reader.log_by_id(log_id.bytes)
        elif is_lookup_name(reference):
            found = self._reader.log_by_name(workspace, reference)
        if found is None or found.workspace != workspace:
            return None
        self._logs[(workspace, reference)] = found
        if len(self._logs) > CACHED_LOGS:
            self._logs.popitem(last=False)
        return found
