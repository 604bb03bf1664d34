"""What an operator should know of a deployment's archive: whether there is one, and who could delete it."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from indelible.log.archive_manifest import ArchiveError, archive_key, load_chain, manifest_key, newest
from indelible.operate.differences import Verdict
from indelible.operate.sites import Site
from indelible.store.objects import LocalObjects
from indelible.store.objects_s3 import S3Objects

HEAD_SECONDS = 20.0
_MODE, _UNTIL = "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"


def archive_state(site: Site) -> Verdict:
    """How far the archive goes, and whether its manifests hold."""
    if not newest(site.objects):
        return ("ok" if isinstance(site.objects, LocalObjects) else "look"), (
            f"nothing is archived in {site.objects.place}: what this machine loses is lost but for backups;"
            " start the server with --archive"
        )
    try:
        chain = load_chain(site.objects, archive_key(site.master_secret()))
    except ArchiveError as error:
        return "bad", f"the archive in {site.objects.place} does not hold: {error}"
    heads = {str(info.log_id): site.reader.head(info.key) for info in site.logs()}
    archived = sum(log.size for log in chain.logs.values())
    missing = sum(head.size for head in heads.values() if head) - archived
    ahead = [
        log.log_id
        for log in chain.logs.values()
        if (found := heads.get(log.log_id)) is None or found.size < log.size
    ]
    if ahead:
        return "bad", f"the archive holds more of log {ahead[0]} than this store: an older copy was restored"
    if chain.deployment != site.deployment:
        return "bad", f"{site.objects.place} holds the archive of {chain.deployment}"
    trimmed = sum(site.reader.trimmed(info.key) for info in site.logs())
    alone = f"; {trimmed} of them are in the archive alone" if trimmed else ""
    return "ok", f"manifest {chain.number} of {chain.written}: {archived} events, {missing} wait{alone}"


def object_lock(site: Site) -> Verdict:
    """Whether what is archived can be deleted before its time, by whoever has the bucket's keys."""
    objects = site.objects
    if isinstance(objects, LocalObjects):
        return "ok", f"{objects.place} is a folder: whoever may write there can delete what is archived"
    if not isinstance(objects, S3Objects):
        return "ok", f"{objects.place} is no bucket with locks"
    number = newest(objects)
    if not number:
        return "look", "nothing is archived yet, so it cannot be seen whether objects are locked"
    url = objects.head_url(manifest_key(number))
    try:
        answer = httpx.head(url, timeout=HEAD_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        kind = type(error).__name__  # its text would quote the signed URL
        return "look", f"it could not be asked whether {manifest_key(number)} is locked: {kind}"
    return judge_lock(answer.headers)


def judge_lock(headers: httpx.Headers) -> Verdict:
    """What the headers of an archived object say of its lock (S3, HeadObject)."""
    mode, until = headers.get(_MODE), headers.get(_UNTIL)
    if not mode or not until:
        return "look", (
            "archived objects are not locked: whoever has the bucket's keys can delete them. Make the bucket"
            " with Object Lock and a default retention in compliance mode (docs/deploy.md); if it has them,"
            " allow s3:GetObjectRetention, so that they can be seen"
        )
    made = parsedate_to_datetime(headers["last-modified"])
    days = round((datetime.fromisoformat(until).astimezone(UTC) - made).total_seconds() / 86_400, 1)
    if mode.upper() != "COMPLIANCE":
        return "look", (
            f"archived objects are locked for {days:g} days in {mode.lower()} mode: whoever may bypass"
            " governance can delete them; compliance mode binds the account's owner too"
        )
    return "ok", f"archived objects are locked for {days:g} days in compliance mode: nobody can delete them"
