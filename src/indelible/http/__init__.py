"""The HTTP surface: routes, wire schemas, error mapping. It decides nothing."""
