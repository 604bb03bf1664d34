"""A cluster under Patroni whose primary is lost under load."""

from pathlib import Path

from tests.harness.failover import survive


def test_no_acknowledged_event_is_lost_with_a_primary(tmp_path: Path) -> None:
    """Its PostgreSQL is killed, then the next one's whole member: nodes find the new primary by themselves.

    The recorded history holds: every receipt is true and once, each log is gapless, no answer is older than
    what was told before it, no two heads of one size were signed. All is archived, and nothing differs.
    """
    outcome = survive(tmp_path, ["postgres", "member"])
    assert outcome.acknowledged >= 500
    assert len({outage.member for outage in outcome.outages}) == 2
    assert outcome.refused_without_effect > 0


def test_a_primary_that_is_cut_off_without_a_word_is_left_for_the_next(tmp_path: Path) -> None:
    """Its cable is pulled while it goes on: no session ends, and no kernel answers for what was sent.

    Nodes give it up by themselves, and the same holds. Put back, it follows the one that took its place.
    """
    outcome = survive(tmp_path, ["cable"])
    assert outcome.acknowledged >= 300
    assert outcome.outages[0].followed_by != outcome.outages[0].member
