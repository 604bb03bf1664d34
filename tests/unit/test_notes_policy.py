"""Policy files: what they mean, and that what could be understood in two ways is refused."""

import pytest

from indelible.notes.cosignature import Cosigner
from indelible.notes.keys import Signer
from indelible.notes.policy import parse_policy
from indelible.notes.strict import NoteError

KEYS = [Cosigner(f"w.example/{n}", bytes([n]) * 32).verifier.vkey for n in range(6)]
LOG = Signer("x.example/logs/one", b"l" * 32).verifier.vkey
TWO_LEVELS = f"""
# two firms
log {LOG} https://x.example
witness X1 {KEYS[0]} https://x1.example/
\twitness  X2 {KEYS[1]}
witness X3 {KEYS[2]} https://x3.example
group X 2 X1 X2 X3
witness Y1 {KEYS[3]}
witness Y2 {KEYS[4]}
group Y any Y1 Y2
group both all X Y
quorum both
"""


@pytest.mark.parametrize(
    ("cosigned", "enough"),
    [
        ("X1 X2 Y1", True),
        ("X1 X3 Y2", True),
        ("X1 X2 X3", False),
        ("X1 Y1 Y2", False),
        ("", False),
        ("both X Y", False),  # names of groups are no witnesses
    ],
)
def test_groups_of_groups_count_as_written(cosigned: str, enough: bool) -> None:
    """Two of the X and any of the Y, and nothing less."""
    assert parse_policy(TWO_LEVELS).met(set(cosigned.split())) is enough


def test_a_policy_says_its_logs_and_where_witnesses_are() -> None:
    """Keys and URLs stand as written; a witness may have none."""
    policy = parse_policy(TWO_LEVELS)
    assert [key.vkey for key in policy.logs] == [LOG]
    assert [witness.url for witness in policy.witnesses][:3] == [
        "https://x1.example/",
        None,
        "https://x3.example",
    ]


def test_quorum_none_needs_nobody() -> None:
    """A policy without witnesses is one."""
    assert parse_policy("quorum none\n").met(())


W = f"witness a {KEYS[0]}\nwitness b {KEYS[1]}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        W,
        f"{W}quorum c\n",
        f"{W}quorum a\nquorum b\n",
        f"quorum a\n{W}",
        f"{W}group g 3 a b\nquorum g\n",
        f"{W}group g 0 a b\nquorum g\n",
        f"{W}group g 02 a b\nquorum g\n",
        f"{W}group g any\nquorum g\n",
        f"{W}group g any a a\nquorum g\n",
        f"{W}group g any a\ngroup h any a\nquorum h\n",
        f"{W}group a any b\nquorum a\n",
        f"{W}group none any b\nquorum none\n",
        f"{W}group g all g\nquorum g\n",
        f"{W}witness c {KEYS[0]}\nquorum a\n",
        f"{W}log {LOG}\nlog {LOG}\nquorum a\n",
        f"witness a {LOG}\nquorum a\n",
        f"log {KEYS[0]}\nquorum none\n",
        f"{W}quorum a b\n",
        f"{W}Quorum a\n",
        f"{W}quorum a\x0b\n",
        f"witness a {KEYS[0]} http://1 http://2\nquorum a\n",
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    """A slip in a policy never makes a weaker one."""
    with pytest.raises(NoteError):
        parse_policy(text)


def test_one_key_under_two_names_is_refused() -> None:
    """Else one witness could count as two."""
    seed = b"s" * 32
    lines = [f"witness {name} {Cosigner(name, seed).verifier.vkey}" for name in ("a", "b")]
    with pytest.raises(NoteError, match="line 2"):
        parse_policy("\n".join([*lines, "group g all a b", "quorum g"]))
