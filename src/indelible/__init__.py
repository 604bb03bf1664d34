"""Indelible: an audit log that outsiders can check."""

__version__ = "0.1.0"
