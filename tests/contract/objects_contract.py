"""What every bucket must do, whatever it is made of."""

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from indelible.store.objects import Objects, ObjectsDiffer, create_same


class ObjectsContract:
    """What every bucket must do."""

    @pytest.fixture
    def objects(self) -> Objects:
        """Given by the subclass."""
        raise NotImplementedError

    def test_put_replaces_and_get_returns_exact_bytes(self, objects: Objects) -> None:
        """Bytes come back as given, empty and large ones too; None where nothing stands."""
        assert objects.get("a/b") is None
        for data in (b"", b"\0\r\n\xff", os.urandom(300_000), b"short"):
            objects.put("a/b", data)
            assert objects.get("a/b") == data

    def test_create_happens_once(self, objects: Objects) -> None:
        """What stands there stays as it is, also against a put's neighbour of the same beginning."""
        assert objects.create("a/b", b"1")
        assert not objects.create("a/b", b"2")
        assert objects.get("a/b") == b"1"
        assert objects.create("a/bb", b"3")

    def test_one_of_many_creators_wins(self, objects: Objects) -> None:
        """Of threads that create one object at once exactly one is told so, and its bytes stand there."""
        won: list[int] = []
        start = threading.Barrier(8)

        def create(number: int) -> None:
            start.wait(20)
            if objects.create("race/x", b"%d" % number):
                won.append(number)

        threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(won) == 1
        assert objects.get("race/x") == b"%d" % won[0]

    def test_list_is_sorted_and_knows_folders_from_beginnings(self, objects: Objects) -> None:
        """A prefix names a whole folder; a longer name with the same beginning is not in it."""
        for key in ("p/b", "p/a/1", "pp/c", "q"):
            objects.put(key, b"x")
        assert objects.list("p/") == ["p/a/1", "p/b"]
        assert objects.list("") == ["p/a/1", "p/b", "pp/c", "q"]
        assert objects.list("none/") == []

    def test_delete(self, objects: Objects) -> None:
        """An object goes; nothing happens where there is none, nor where a folder or a file stands."""
        objects.put("a/b", b"1")
        objects.delete("a/b")
        assert objects.get("a/b") is None
        for key in ("a/b", "a/b/c", "a", "nowhere/at/all"):
            objects.delete(key)
        objects.put("a/b", b"2")
        for key in ("a", "a/b/c"):
            objects.delete(key)
            assert objects.get(key) is None
        assert objects.get("a/b") == b"2"

    @pytest.mark.parametrize(
        "key", ["", "/", "/etc/passwd", "a//b", "a/", "../x", "a/../../x", ".", "a/.hidden", "a/./b", "a\0b"]
    )
    def test_bad_keys_are_refused_by_every_call(self, objects: Objects, key: str) -> None:
        """No key leads out of the bucket or names what the bucket keeps for itself."""
        calls: list[Callable[[], Any]] = [
            lambda: objects.put(key, b"x"),
            lambda: objects.create(key, b"x"),
            lambda: objects.get(key),
            lambda: objects.delete(key),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="not an object key"):
                call()

    def test_replace_takes_the_place_of_what_was_seen_and_of_nothing_else(self, objects: Objects) -> None:
        """Whoever saw something older, or nothing, is told so, and what stands there stays."""
        assert not objects.replace("c/p", b"2", b"1")
        assert objects.get("c/p") is None
        assert objects.replace("c/p", b"1", None)
        assert not objects.replace("c/p", b"x", None)
        assert objects.replace("c/p", b"2", b"1")
        assert not objects.replace("c/p", b"3", b"1")
        assert objects.replace("c/p", b"2", b"2")
        assert objects.get("c/p") == b"2"

    def test_of_many_that_replace_the_same_one_wins(self, objects: Objects) -> None:
        """Eight threads count up together: no step is lost, so the last word is the number of steps."""
        objects.put("n", b"0")

        def count(name: int) -> None:
            for _ in range(5):
                done = False
                while not done:
                    seen = objects.get("n") or b""
                    done = objects.replace("n", b"%d by %d" % (int(seen.split()[0]) + 1, name), seen)

        threads = [threading.Thread(target=count, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert (objects.get("n") or b"").split()[0] == b"40"

    def test_the_start_of_an_object(self, objects: Objects) -> None:
        """So many bytes, fewer of a shorter object, None of none."""
        objects.put("s/o", b"0123456789")
        assert objects.start("s/o", 4) == b"0123"
        assert objects.start("s/o", 40) == b"0123456789"
        assert objects.start("s/none", 4) is None

    def test_folders_are_the_names_right_below(self, objects: Objects) -> None:
        """Once each, objects and folders, whatever stands deeper; nothing of a longer name."""
        for key in ("p/b/1", "p/b/2/3", "p/a", "pp/c"):
            objects.put(key, b"x")
        assert objects.folders("p/") == ["a", "b"]
        assert objects.folders("none/") == []

    def test_what_is_written_once_is_the_same_or_refused(self, objects: Objects) -> None:
        """A retry of one's own passes, another's bytes do not."""
        create_same(objects, "w/1", b"one")
        create_same(objects, "w/1", b"one")
        with pytest.raises(ObjectsDiffer, match="w/1"):
            create_same(objects, "w/1", b"two")
        assert objects.get("w/1") == b"one"

    def test_it_says_where_it_is(self, objects: Objects) -> None:
        """For an operator; nothing failed yet."""
        objects.put("a", b"1")
        assert objects.place
        assert objects.failure is None
