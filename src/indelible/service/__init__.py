"""Use cases: workspaces, keys and scopes, limits, and what each call means."""
