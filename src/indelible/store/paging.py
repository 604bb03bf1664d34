"""Reading rows of any number a page at a time."""

from collections.abc import Iterator

from indelible.model.types import LogInfo
from indelible.store.base import Reader

PAGE = 256


def log_pages(reader: Reader, workspace: int | None = None) -> Iterator[list[LogInfo]]:
    """All logs of a workspace by name, or all there are in the order in which they were made, in pages."""
    after = "0" if workspace is None else ""
    while page := reader.logs(workspace, after, PAGE):
        yield page
        after = str(page[-1].key) if workspace is None else page[-1].name
