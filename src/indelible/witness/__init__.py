"""A witness for other people's logs (C2SP tlog-witness): it cosigns what only grew, and remembers."""
