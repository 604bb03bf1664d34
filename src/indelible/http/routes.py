"""The one table of all calls: routing, parameters, bodies, refusals and OpenAPI come from it."""

from collections.abc import Callable

from indelible.http.calls import events, evidence, headlog, keys, logs, proofs, system, versions, views
from indelible.http.table import Route


def all_routes(documents: Callable[[], system.Documents]) -> tuple[Route, ...]:
    """Return every route of the server."""
    return (
        *logs.ROUTES,
        *events.ROUTES,
        *views.ROUTES,
        *versions.ROUTES,
        *proofs.ROUTES,
        *evidence.ROUTES,
        *headlog.ROUTES,
        *keys.ROUTES,
        *system.routes(documents),
    )
