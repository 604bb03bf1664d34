"""Looking at settings before a server is started with them: what would keep it from starting, or surprise.

Nothing is made and nothing is written. Each check is one thing outside of the settings that they lean on.
"""

import os
import ssl
from collections.abc import Callable, Iterator

from indelible.config import Settings, is_loopback
from indelible.log.policyfile import read_policy
from indelible.operate.differences import Verdict
from indelible.operate.doctor import Check, judge_postgresql
from indelible.store.base import StoreError
from indelible.store.bucket import open_objects
from indelible.store.databases import shared_facts
from indelible.store.directory import ELSEWHERE, MASTER_SECRET_BYTES, other_engine, read_secret
from indelible.store.objects import ObjectsUnreachable


def preflight(settings: Settings) -> Iterator[Check]:
    """Check what the settings name, one thing after the other."""
    for name, check in _CHECKS:
        try:
            found = check(settings)
        except (StoreError, OSError, ValueError) as error:
            found = ("bad", str(error))
        if found is not None:
            yield Check(name, *found)


def _data(settings: Settings) -> Verdict:
    path = settings.data
    if not path.exists():
        above = next(each for each in path.parents if each.exists())
        if not os.access(above, os.W_OK):
            return "bad", f"{path} is not there, and {above} cannot be written: make it for the server's user"
        return "ok", f"{path} will be made at the first start"
    if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return "bad", f"{path} cannot be read and written; run this as the user of the server"
    found = other_engine(path, elsewhere=settings.database is not None)
    if found is not None:
        return "bad", found
    served = (path / "indelible.db").exists() or (path / ELSEWHERE).exists()
    return "ok", f"{path}, {'served before' if served else 'not served yet'}"


def _secret(settings: Settings) -> Verdict:
    file = settings.data / "master-secret"
    if not file.exists():
        if settings.database is None:
            return "ok", "made at the first start: back it up then"
        return "look", "made at the first start of all; further nodes need a copy of the first one's"
    if len(read_secret(file)) != MASTER_SECRET_BYTES:
        return "bad", f"{file} does not hold the {MASTER_SECRET_BYTES} bytes of a master secret"
    return "ok", "only its owner reads it"


def _tls(settings: Settings) -> Verdict | None:
    certificate, key = settings.tls_cert, settings.tls_key
    if certificate is None and key is None:
        return (
            None if is_loopback(settings.host) else ("look", f"none: on {settings.host} keys go in the clear")
        )
    if certificate is None or key is None:
        return "bad", "tls_cert and tls_key go together"
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        return "bad", f"{certificate} and {key} are no certificate with its key: {error.reason}"
    return "ok", f"{certificate}"


def _witnesses(settings: Settings) -> Verdict | None:
    if settings.witness_policy is None:
        return None
    policy = read_policy(settings.witness_policy, settings.limits)
    names = ", ".join(witness.name for witness in policy.witnesses)
    return "ok", f"{settings.witness_policy}: {names}"


def _objects(settings: Settings) -> Verdict | None:
    if settings.objects is None:
        if settings.database is not None:
            return "look", "in the data directory: nodes on other machines would not find them; give a bucket"
        return None
    if "://" not in settings.objects:
        return "ok", settings.objects
    objects = open_objects(settings.objects, settings.data / "objects", settings.limits)
    try:
        objects.folders("proofs/")
    except ObjectsUnreachable as error:
        return "bad", str(error)
    return "ok", f"{objects.place} answers" + ("" if settings.archive else "; events are not archived")


def _database(settings: Settings) -> Verdict | None:
    if settings.database is None:
        return None
    return judge_postgresql(shared_facts(settings.database))


def _trimming(settings: Settings) -> Verdict | None:
    after = settings.limits.trim_after_seconds
    if not after:
        return None
    if settings.database is not None:
        return "look", "nodes remove no events: run indelible trim as a role of its own (docs/deploy.md)"
    if not settings.archive:
        return "look", "trim_after_seconds is set, and nothing is archived: nothing will leave"
    least = settings.limits.idempotency_seconds
    if after < least:
        return "look", f"events stay for {least} s, as long as idempotency keys are remembered"
    return "ok", f"archived events leave the database when they are {after / 86_400:g} days old"


_CHECKS: tuple[tuple[str, Callable[[Settings], Verdict | None]], ...] = (
    ("data", _data),
    ("master secret", _secret),
    ("tls", _tls),
    ("witness policy", _witnesses),
    ("objects", _objects),
    ("database", _database),
    ("trimming", _trimming),
)
