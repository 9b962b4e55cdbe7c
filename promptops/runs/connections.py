"""From a claimed run's endpoint to an engine's ``Connection``, with refusals as the engines' own errors."""

from __future__ import annotations

from django.conf import settings

from promptops.catalog import connections
from promptops.catalog.models import Endpoint, Provider
from promptops.core.errors import Unavailable
from promptops.engines import Connection, EngineError, ErrorKind


def connection_for(endpoint: Endpoint) -> Connection:
    """Return how to reach the endpoint (``credential`` selected with it).

    Raises:
        EngineError: the credential is archived or cannot be decrypted, or the provider is switched off here.
    """
    if endpoint.provider == Provider.SCRIPTED and not settings.ALLOW_SCRIPTED_PROVIDER:
        raise EngineError(ErrorKind.UNAVAILABLE, "The scripted provider is for tests, and switched off here.")
    try:
        return connections.connection_for(endpoint)
    except Unavailable as error:
        raise EngineError(ErrorKind.UNAVAILABLE, str(error.detail)) from None
