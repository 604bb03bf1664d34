"""`indelible view new`: a folder with a view that works, its SDK, its contract, events and tests."""

import shutil
from pathlib import Path

from indelible.author.languages import Language
from indelible.author.shipped import shipped
from indelible.model.names import check_name

_NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "target", "node_modules")


class ScaffoldRefused(Exception):
    """The folder cannot be made; the text says why."""


def scaffold(name: str, language: Language, parent: Path) -> Path:
    """Make the folder `name` below `parent`, and return it. The SDK is copied into it.

    Raises:
        Problem: `invalid_name`, which no view can have.
        ScaffoldRefused: something stands there already.
    """
    check_name(name)
    folder = parent / name
    if folder.exists():
        raise ScaffoldRefused(f"{folder} is there already; choose another name, or remove it")
    guest = shipped("guest")
    sources = guest / language.value
    shutil.copytree(sources / "template", folder, ignore=_NOT_SHIPPED)
    shutil.copytree(sources / language.sdk, folder / language.sdk, ignore=_NOT_SHIPPED)
    (folder / "wit").mkdir()
    shutil.copy(shipped("wit") / "view.wit", folder / "wit")
    words = {"name": name, "language": language.value, "source": language.source, "sdk": f"{language.sdk}/"}
    for file in sorted((guest / "shared").iterdir()):
        if file.is_file():
            target = ".gitignore" if file.name == "gitignore" else file.name
            (folder / target).write_text(_filled(file.read_text(), words))
    return folder


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace("{{" + word + "}}", value)
    return text
