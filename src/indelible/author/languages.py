"""The languages that a view can be written in here, and where each keeps what."""

from enum import Enum


class Language(Enum):
    """The value is what `--lang` and `view.toml` say."""

    PYTHON = "python"
    RUST = "rust"
    JS = "js"

    @property
    def source(self) -> str:
        """The file of a scaffold in which the view stands."""
        return {"python": "app.py", "rust": "src/lib.rs", "js": "app.js"}[self.value]

    @property
    def sdk(self) -> str:
        """The folder of a scaffold in which the SDK stands."""
        return {"python": "indelible_view", "rust": "indelible-view", "js": "indelible-view"}[self.value]
