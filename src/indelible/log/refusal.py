"""What is told to those whom the store's absence keeps from their work."""

from indelible.model.errors import Problem
from indelible.store.base import StoreError


def unavailable(error: StoreError) -> Problem:
    """The refusal of a call for which nothing was stored, since the database does not answer."""
    return Problem("store_unavailable", f"{error}; nothing of this call was stored", retry_after=1)
