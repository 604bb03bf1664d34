"""Followers, snapshots, residence in memory, and the catalogue of built-in views."""
