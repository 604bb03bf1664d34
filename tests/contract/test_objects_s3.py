"""Objects in a real S3: the same contract, what goes over the wire, and what is said when nobody answers."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.contract.objects_contract import ObjectsContract
from tests.harness.bucket import SECRET, S3Server, header_of, s3_server

from indelible.model.limits import DEFAULT_LIMITS
from indelible.store.base import StoreRefused
from indelible.store.objects import Objects, ObjectsUnreachable
from indelible.store.objects_s3 import S3Objects, parse_bucket

QUICK = replace(DEFAULT_LIMITS, objects_seconds=2.0, objects_connect_seconds=0.5, objects_retries=1)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """One server for all tests here."""
    with s3_server() as running:
        yield running


class TestS3(ObjectsContract):
    """`S3Objects` under a prefix of a fresh bucket."""

    @pytest.fixture
    def objects(self, server: S3Server) -> Objects:
        """With a neighbour whose name has the same beginning, which must never be seen."""
        place = server.place()
        S3Objects(f"{place}x", DEFAULT_LIMITS).put("p/a/1", b"the neighbour's")
        return S3Objects(place, DEFAULT_LIMITS)


def test_two_processes_cannot_set_an_object_back(server: S3Server) -> None:
    """Each knows what it wrote itself; the one that is behind is told, also without having read."""
    url = server.place()
    one, two = S3Objects(url, DEFAULT_LIMITS), S3Objects(url, DEFAULT_LIMITS)
    assert one.replace("checkpoint", b"1", None)
    assert two.replace("checkpoint", b"2", b"1")
    assert not one.replace("checkpoint", b"1 again", b"1")
    assert two.get("checkpoint") == b"2"


def test_a_locked_bucket_gives_versions_and_refuses_to_delete_them(server: S3Server) -> None:
    """In compliance mode a version stays until its time has come, whoever asks."""
    bucket = server.bucket(locked_days=1)
    objects = S3Objects(f"s3://{bucket}/x", DEFAULT_LIMITS)
    assert objects.create("events/1", b"sealed")
    version = objects.version("events/1")
    assert version
    assert S3Objects(f"s3://{bucket}/x", DEFAULT_LIMITS).version("events/1") == version
    refused = server.erase(bucket, "x/events/1", version)
    assert refused.status_code == 403, refused.text
    assert objects.get("events/1") == b"sealed"


def test_a_version_is_found_below_what_was_put_over_it(server: S3Server) -> None:
    """Overwritten or deleted, it is what was put; a bucket that has not got it gives what it has."""
    bucket = server.bucket(locked_days=1)
    objects = S3Objects(f"s3://{bucket}/x", DEFAULT_LIMITS)
    assert objects.create("events/1", b"sealed")
    version = objects.version("events/1")
    objects.put("events/1", b"forged")
    assert objects.get("events/1") == b"forged"
    for _ in range(2):
        assert objects.get("events/1", version) == b"sealed"
        assert objects.start("events/1", 4, version) == b"seal"
        objects.delete("events/1")
        assert objects.get("events/1") is None
    other = S3Objects(f"s3://{server.bucket()}/x", DEFAULT_LIMITS)
    other.put("events/1", b"copied")
    assert other.get("events/1", version) == b"copied"
    assert other.start("events/1", 4, version) == b"copi"
    assert other.get("events/2", version) is None


class Recorder:
    """A server that keeps what was sent to it and answers as S3 does to a PUT."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                request = b""
                while b"\r\n\r\n" not in request or not request.endswith(b"the body"):
                    request += connection.recv(65_536)
                self.requests.append(request)
                connection.sendall(
                    b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
                )

    def close(self) -> None:
        """Take no more."""
        self._listening.close()


def test_puts_carry_a_checksum_and_their_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS refuses puts under Object Lock without a checksum; a condition unsent protects nothing."""
    recorder = Recorder()
    environment = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-west-1"}
    for name, value in {**environment, "AWS_ENDPOINT_URL": recorder.url}.items():
        monkeypatch.setenv(name, value)
    objects = S3Objects("s3://a-bucket/x", QUICK)
    objects.put("a", b"the body")
    objects.create("b", b"the body")
    objects.replace("a", b"now the body", b"the body")
    recorder.close()
    assert [request.split(b" ")[1] for request in recorder.requests] == [
        b"/a-bucket/x/a",
        b"/a-bucket/x/b",
        b"/a-bucket/x/a",
    ]
    assert all(header_of(request, "x-amz-checksum-sha256") for request in recorder.requests)
    assert [header_of(request, "if-none-match") for request in recorder.requests] == [None, "*", None]
    assert [header_of(request, "if-match") for request in recorder.requests] == [None, None, '"1"']
    assert not any(SECRET.encode() in request for request in recorder.requests)


def test_a_bucket_that_does_not_answer_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the place, and without the secret."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    for name, value in {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    objects = S3Objects("s3://a-bucket/x", QUICK)
    for call in (lambda: objects.get("a"), lambda: objects.put("a", b"1"), lambda: objects.list("a/")):
        with pytest.raises(ObjectsUnreachable) as caught:
            call()
        assert "s3://a-bucket/x/a" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert SECRET not in str(caught.value)
    assert objects.failure


@pytest.mark.parametrize(
    "url", ["s3://", "s3:bucket", "http://b/p", "s3://k:s@b/p", "s3://b/../x", "s3://b/p?x=1"]
)
def test_what_names_no_bucket_is_refused(url: str) -> None:
    """With what a name looks like."""
    with pytest.raises(StoreRefused, match="s3://BUCKET/PREFIX"):
        parse_bucket(url)
