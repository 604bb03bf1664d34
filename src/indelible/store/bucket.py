"""Which objects a deployment has: those in its data directory, or in a bucket that a URL names."""

from pathlib import Path

from indelible.model.limits import DEFAULT_LIMITS, Limits
from indelible.store.base import StoreRefused
from indelible.store.objects import LocalObjects, Objects

VARIABLE = "OBJECTS"
"""The variable of the environment that names a bucket."""


def is_url(place: str) -> bool:
    """Whether a place is a URL, and no folder."""
    return "://" in place


def existing_objects(place: str) -> Objects:
    """Open objects that must be there already: nothing is made.

    Raises:
        StoreRefused: there is no such folder, or the place cannot be used.
    """
    folder = Path(place).expanduser().resolve()
    if not is_url(place) and not folder.is_dir():
        raise StoreRefused(f"{place} is not there")
    return open_objects(place, folder)


def open_objects(place: str | None, folder: Path, limits: Limits = DEFAULT_LIMITS) -> Objects:
    """Open the objects at `place` (s3://BUCKET/PREFIX, or a folder), by default those in `folder`.

    Raises:
        StoreRefused: the place cannot be used.
    """
    if place is None:
        return LocalObjects(folder)
    if not is_url(place):
        return LocalObjects(Path(place).expanduser().resolve())
    if not place.startswith("s3://"):
        raise StoreRefused(f"objects are stored in a folder or in s3://BUCKET/PREFIX, not in {place}")
    from indelible.store.objects_s3 import S3Objects  # noqa: PLC0415 - half a second that a folder does without

    return S3Objects(place, limits)
