"""Which of a URL's hosts is asked first."""

import pytest

from indelible.store.postgres_hosts import led_by, seek_primary


@pytest.mark.parametrize(
    ("host", "port", "answered", "expected"),
    [
        ("a,b,c", "1,2,3", ("c", 3), ("c,a,b", "3,1,2")),
        ("a,b,c", "1,2,3", ("a", 1), ("a,b,c", "1,2,3")),
        ("a,a,a", "1,2,3", ("a", 2), ("a,a,a", "2,1,3")),
        ("a,b", "7", ("b", 7), ("b,a", "7")),
        ("a,b", "7,", ("b", 5432), ("b,a", ",7")),
        ("a,b", "7,8", ("b", 9), ("a,b", "7,8")),
        ("a,b", "7,8", ("elsewhere", 8), ("a,b", "7,8")),
        ("a", "7", ("a", 7), ("a", "7")),
    ],
)
def test_the_host_that_answered_comes_first_with_its_port(
    host: str, port: str, answered: tuple[str, int], expected: tuple[str, str]
) -> None:
    """The others keep their order; a host that is not listed changes nothing."""
    led = led_by({"host": host, "port": port, "user": "u"}, *answered)
    assert led == {"host": expected[0], "port": expected[1], "user": "u"}


def test_addresses_move_with_their_names() -> None:
    """Whether hosts are named, given as addresses, or both; and nothing is made up where none is given."""
    both = {"host": "a,b", "hostaddr": "10.0.0.1,10.0.0.2"}
    assert led_by(both, "b", 5432) == {"host": "b,a", "hostaddr": "10.0.0.2,10.0.0.1"}
    assert led_by({"hostaddr": "10.0.0.1,10.0.0.2"}, "10.0.0.2", 5432) == {"hostaddr": "10.0.0.2,10.0.0.1"}
    assert led_by({"dbname": "x"}, "/run/postgresql", 5432) == {"dbname": "x"}


def test_of_several_hosts_the_primary_is_meant_unless_the_url_says_otherwise() -> None:
    """With one host nothing is asked for: a standby there is refused with a sentence."""
    assert seek_primary({"host": "a,b"})["target_session_attrs"] == "read-write"
    assert seek_primary({"hostaddr": "1.1.1.1,2.2.2.2"})["target_session_attrs"] == "read-write"
    assert (
        seek_primary({"host": "a,b", "target_session_attrs": "primary"})["target_session_attrs"] == "primary"
    )
    assert seek_primary({"host": "a"}) == {"host": "a"}
