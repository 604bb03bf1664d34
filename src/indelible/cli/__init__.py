"""The command line: thin commands over the client."""

from indelible.cli.root import main

__all__ = ["main"]
