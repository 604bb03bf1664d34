"""Objects in a bucket that speaks S3, through obstore: conditional puts, checksums, bounded waiting.

What was put is on stable storage when the bucket says so. Nothing is written without a condition but what
may be made again (`put`): `If-None-Match: *` creates, `If-Match` replaces. A PUT whose answer got lost is
sent again by the library, and then finds itself: so a failed condition is never believed without reading.

Credentials and region come from where the AWS tools look (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL, a
role of the machine, …), never from the URL, and never go into a text.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from indelible.model.limits import Limits
from indelible.store.base import StoreRefused
from indelible.store.objects import ObjectsUnreachable, check_key

SCHEME = "s3"
REMEMBERED_OBJECTS = 65_536
SIGNED_FOR = timedelta(seconds=60)
_Result = TypeVar("_Result")


class _Known(NamedTuple):
    """What this process put or read last under a key: a digest of it, its entity tag, its version."""

    digest: bytes
    e_tag: str | None
    version: str | None


class Bucket(NamedTuple):
    """What `s3://bucket/prefix` names."""

    name: str
    prefix: str


def parse_bucket(url: str) -> Bucket:
    """Read `s3://bucket/prefix`.

    Raises:
        StoreRefused: it is not such a URL; the text says what one looks like.
    """
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    plain = not (parts.query or parts.fragment or parts.username or parts.password or parts.port)
    if parts.scheme != SCHEME or not parts.hostname or not plain:
        raise StoreRefused(
            "objects are stored in s3://BUCKET/PREFIX; credentials come from the environment, not from there"
        )
    if prefix:
        try:
            check_key(prefix)
        except ValueError:
            raise StoreRefused("the prefix of s3://BUCKET/PREFIX has plain segments with / between") from None
    return Bucket(parts.netloc, prefix)


class S3Objects:
    """Implements `store.objects.Objects`.

    Raises:
        StoreRefused: the URL cannot be used, or the settings in the environment cannot.
    """

    def __init__(self, url: str, limits: Limits) -> None:
        bucket = parse_bucket(url)
        self.place = f"s3://{bucket.name}/{bucket.prefix}".rstrip("/")
        self.failure: str | None = None
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._knowing = threading.Lock()
        try:
            self._store = S3Store(
                bucket.name,
                prefix=bucket.prefix or None,
                checksum_algorithm="SHA256",  # AWS refuses puts under Object Lock without one
                client_options={
                    "timeout": timedelta(seconds=limits.objects_seconds),
                    "connect_timeout": timedelta(seconds=limits.objects_connect_seconds),
                    "allow_http": True,  # an endpoint on a private network; AWS's own is https
                },
                retry_config={
                    "max_retries": limits.objects_retries,
                    "retry_timeout": timedelta(seconds=limits.objects_seconds),
                },
            )
        except (BaseError, ValueError) as error:
            raise StoreRefused(f"{self.place} cannot be used: {_first_line(error)}") from None

    # ------------------------------------------------------------------ the contract

    def put(self, key: str, data: bytes) -> None:
        """See `Objects`."""
        check_key(key)
        self._told(
            key, lambda: self._note(key, data, obstore.put(self._store, key, data, use_multipart=False))
        )

    def create(self, key: str, data: bytes) -> bool:
        """See `Objects`."""
        check_key(key)

        def call() -> bool:
            try:
                put = obstore.put(self._store, key, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            self._note(key, data, put)
            return True

        return self._told(key, call)

    def replace(self, key: str, data: bytes, seen: bytes | None) -> bool:
        """See `Objects`."""
        if seen is None:
            return self.create(key, data) or self.get(key) == data
        check_key(key)
        known = self._known.get(key)
        if known is None or known.digest != _digest(seen):
            found = self._read(key)
            if found is None or found[0] != seen:
                return False
            known = found[1]
        if data == seen:
            return self.get(key) == seen
        return self._told(key, lambda: self._replace(key, data, known)) or self.get(key) == data

    def _replace(self, key: str, data: bytes, known: _Known) -> bool:
        try:
            put = obstore.put(self._store, key, data, mode={"e_tag": known.e_tag}, use_multipart=False)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            return False
        self._note(key, data, put)
        return True

    def get(self, key: str, version: str | None = None) -> bytes | None:
        """See `Objects`."""
        if version is not None:
            found_there = self._version(key, {"version": version})
            if found_there is not None:
                return found_there
        found = self._read(key)
        return None if found is None else found[0]

    def _version(self, key: str, options: "obstore.GetOptions") -> bytes | None:
        """A version of an object; None where the bucket has not got it, as a copy of another bucket."""
        check_key(key)
        try:
            return bytes(obstore.get(self._store, key, options=options).bytes())
        except (BaseError, FileNotFoundError):
            return None

    def _read(self, key: str) -> tuple[bytes, _Known] | None:
        check_key(key)

        def call() -> tuple[bytes, _Known] | None:
            try:
                found = obstore.get(self._store, key)
                data = bytes(found.bytes())
            except FileNotFoundError:
                return None
            tags: obstore.PutResult = {"e_tag": found.meta["e_tag"], "version": found.meta["version"]}
            return data, self._note(key, data, tags)

        return self._told(key, call)

    def start(self, key: str, length: int, version: str | None = None) -> bytes | None:
        """See `Objects`."""
        check_key(key)
        if version is not None:
            found = self._version(key, {"version": version, "range": (0, length)})
            if found is not None:
                return found

        def call() -> bytes | None:
            try:
                return bytes(obstore.get_range(self._store, key, start=0, length=length))
            except FileNotFoundError:
                return None

        return self._told(key, call)

    def version(self, key: str) -> str | None:
        """See `Objects`."""
        check_key(key)
        known = self._known.get(key)
        if known is not None:
            return known.version

        def call() -> str | None:
            try:
                return obstore.head(self._store, key)["version"]
            except FileNotFoundError:
                return None

        return self._told(key, call)

    def folders(self, prefix: str) -> list[str]:
        """See `Objects`."""
        folder = prefix.rstrip("/")
        check_key(folder)

        def call() -> list[str]:
            found = obstore.list_with_delimiter(self._store, folder)
            paths = [*found["common_prefixes"], *(str(entry["path"]) for entry in found["objects"])]
            return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths)

        return self._told(prefix, call)

    def list(self, prefix: str) -> list[str]:
        """See `Objects`."""
        folder = prefix.rstrip("/")

        def call() -> list[str]:
            pages = obstore.list(self._store, prefix=folder or None)
            return sorted(str(entry["path"]) for page in pages for entry in page)

        if folder:
            check_key(folder)
        return self._told(prefix, call)

    def delete(self, key: str) -> None:
        """See `Objects`."""
        check_key(key)

        def call() -> None:
            with suppress(FileNotFoundError):
                obstore.delete(self._store, key)
            with self._knowing:
                self._known.pop(key, None)

        self._told(key, call)

    def head_url(self, key: str) -> str:
        """A URL that answers HEAD of one object for a minute: headers say more than obstore hands on."""
        check_key(key)
        return self._told(key, lambda: obstore.sign(self._store, "HEAD", key, SIGNED_FOR))

    # ------------------------------------------------------------------ inside

    def _note(self, key: str, data: bytes, put: "obstore.PutResult") -> _Known:
        known = _Known(_digest(data), put["e_tag"], put["version"])
        with self._knowing:
            self._known[key] = known
            self._known.move_to_end(key)
            if len(self._known) > REMEMBERED_OBJECTS:
                self._known.popitem(last=False)
        return known

    def _told(self, key: str, call: Callable[[], _Result]) -> _Result:
        """Make a call, and tell what fails in words: without what the library says of its own state."""
        try:
            result = call()
        except (BaseError, ValueError, OSError) as error:
            self.failure = f"{self.place}/{key}: {_first_line(error)}"
            raise ObjectsUnreachable(self.failure) from None
        self.failure = None
        return result


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _first_line(error: Exception) -> str:
    """What happened, without the long form that follows it and may quote requests."""
    said = str(error).split("\n", 1)[0]
    return f"{type(error).__name__.removesuffix('Error')}: {said}"[:400]
