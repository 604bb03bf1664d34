"""What comes with the package for authors: the contract, the SDKs, the scaffolds."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: str) -> Path:
    """Return the folder `guest` or `wit`: in the package, or at the top of a clone.

    Raises:
        FileNotFoundError: this installation is without it.
    """
    for place in (_PACKAGE / "data" / name, _PACKAGE.parents[1] / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"this installation has no folder {name}; install the package again")
