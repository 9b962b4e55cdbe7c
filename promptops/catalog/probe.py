"""One real call to a provider that costs nothing: which models may this key use?

It goes the way of every call, through the engines' guarded client: same address check, no redirects, no proxies.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from promptops.catalog.models import Provider
from promptops.engines import Connection, EngineError, ErrorKind
from promptops.engines.failures import engine_error, error_from_response
from promptops.engines.transport import guarded_client

TIMEOUT = 15.0
MAX_MODELS = 500
DEFAULT_URLS = {Provider.OPENAI: "https://api.openai.com/v1", Provider.ANTHROPIC: "https://api.anthropic.com"}
ANTHROPIC_VERSION = "2023-06-01"


@dataclass(frozen=True)
class Probe:
    """``works``: the provider took the key. ``detail`` says what it answered; ``models`` which it offers, sorted."""

    works: bool
    detail: str
    kind: str = ""
    models: list[str] = field(default_factory=list)


def list_models(connection: Connection) -> Probe:
    """Ask the provider of a connection for its models. Never raises for what a provider does."""
    if connection.provider == Provider.SCRIPTED:
        return Probe(True, _("The scripted provider needs no key."))
    try:
        models = asyncio.run(_ask(connection))
    except EngineError as error:
        if error.kind == ErrorKind.NOT_FOUND and connection.base_url:
            # Some compatible servers complete chats without listing models; the key was not refused.
            return Probe(
                False,
                _("This server has no list of models at %s/models. Check the base URL; it usually ends in /v1.")
                % connection.base_url,
                error.kind,
            )
        return Probe(False, f"{error.message} {advice(error.kind)}".strip(), error.kind)
    return Probe(True, _("The provider took the key and offers %d models.") % len(models), models=models)


def advice(kind: str) -> str:
    """Return what to do about an error of that kind, one sentence; empty where the message says all."""
    return {
        ErrorKind.AUTHENTICATION: _("Copy the key again from the provider's console, and replace it here."),
        ErrorKind.PERMISSION: _("The key is known but may not do this: give it more rights in the provider's console."),
        ErrorKind.SPEND_LIMIT: _("Add credit, or raise the limit, in the provider's console."),
        ErrorKind.RATE_LIMITED: _("Wait a little, then try again."),
        ErrorKind.OVERLOADED: _("Wait a little, then try again."),
        ErrorKind.CONNECTION: _("Check the base URL, and that this machine may reach it."),
        ErrorKind.TIMEOUT: _("Check the base URL, and that this machine may reach it."),
        ErrorKind.MALFORMED_RESPONSE: _("Check that the base URL is the one of the API, not of a web page."),
    }.get(ErrorKind(kind), "")


async def _ask(connection: Connection) -> list[str]:
    url, headers = _request(connection)
    client = guarded_client(connection.check_address, connection.connect_timeout)
    failure: EngineError | None
    try:
        async with asyncio.timeout(TIMEOUT):
            response = await client.get(url, headers=headers)
        if response.status_code != 200:
            raise error_from_response(response, _json(response.content))
        return _names(_json(response.content))
    except Exception as exception:
        failure = engine_error(exception, answering=False, partial_text="", secret=connection.api_key)
        if failure is None:
            raise
    finally:
        await client.aclose()
    # Raised here, outside the handler, so that no context with the request's headers hangs on it.
    raise failure


def _request(connection: Connection) -> tuple[str, dict[str, str]]:
    base = (connection.base_url or DEFAULT_URLS[Provider(connection.provider)]).rstrip("/")
    if connection.provider == Provider.ANTHROPIC:
        headers = {"x-api-key": connection.api_key, "anthropic-version": ANTHROPIC_VERSION}
        return f"{base.removesuffix('/v1')}/v1/models?limit=1000", headers
    # Servers of one's own often want no key; they get the word that the engine sends too.
    return f"{base}/models", {"Authorization": f"Bearer {connection.api_key or 'none'}"}


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _names(answer: object) -> list[str]:
    listed = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(listed, list):
        raise EngineError(ErrorKind.MALFORMED_RESPONSE, "The server's answer is not a list of models.")
    names = {str(model["id"]) for model in listed if isinstance(model, Mapping) and model.get("id")}
    return sorted(names)[:MAX_MODELS]
