"""Which adapter serves which provider.

Adapters are named by dotted paths and imported when first used: a web process that never calls a model must not pay for
an SDK (23 to 39 MB each) or for torch.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from promptops.engines.types import Connection, Engine

ADAPTERS: dict[str, str] = {
    "openai": "promptops.engines.openai_api.OpenAIEngine",
    "anthropic": "promptops.engines.anthropic_api.AnthropicEngine",
    "local": "promptops.engines.transformers_local.LocalEngine",
    "scripted": "promptops.engines.scripted.ScriptedEngine",
}

_SAMPLING = frozenset({"temperature", "top_p", "top_k", "max_tokens", "stop"})

SUPPORTED_PARAMETERS: dict[str, frozenset[str]] = {
    "openai": _SAMPLING | {"seed", "frequency_penalty", "presence_penalty", "extra"},
    "anthropic": _SAMPLING | {"extra"},
    "local": _SAMPLING | {"seed"},
    "scripted": _SAMPLING | {"seed", "frequency_penalty", "presence_penalty", "extra"},
}
"""What each adapter can express. Anything else is refused by name, never dropped: a run must mean what its record says.

`top_k` of "openai" is sent to compatible servers only; OpenAI itself has no such parameter and the adapter refuses it
there.
"""

DEFAULT_MAX_TOKENS = {"anthropic": 4096, "local": 512}
"""How long an answer may be (tokens) where a request sets no limit. Anthropic demands one; small local models like to
go on for ever. The others know their own end."""


def create_engine(connection: Connection) -> Engine:
    """The engine for `connection.provider`. Raises `ValueError` for a provider without an adapter."""
    try:
        module_name, _, class_name = ADAPTERS[connection.provider].rpartition(".")
    except KeyError:
        raise ValueError(f"There is no engine for provider {connection.provider!r}.") from None
    factory = cast(Callable[[Connection], Engine], getattr(import_module(module_name), class_name))
    return factory(connection)
