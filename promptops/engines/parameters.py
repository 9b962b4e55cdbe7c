"""Reading a request's parameters the same way for every adapter."""

from __future__ import annotations

from typing import Any

from promptops.engines.registry import SUPPORTED_PARAMETERS
from promptops.engines.types import CompletionRequest, EngineError, ErrorKind


def given_parameters(provider: str, request: CompletionRequest) -> dict[str, Any]:
    """The parameters that are set (not None), with `stop` as a list of non-empty strings.

    Raises `EngineError(bad_request)` naming every parameter that the adapter cannot express.
    """
    given = {name: value for name, value in request.parameters.items() if value is not None}
    unknown = sorted(set(given) - SUPPORTED_PARAMETERS[provider])
    if unknown:
        raise EngineError(
            ErrorKind.BAD_REQUEST,
            f"Provider {provider!r} has no parameter {', '.join(repr(name) for name in unknown)}. "
            "Remove it, or pass a provider's own field inside 'extra'.",
        )
    if "stop" in given:
        stops = [given["stop"]] if isinstance(given["stop"], str) else list(given["stop"])
        given["stop"] = [stop for stop in stops if stop]
        if not given["stop"]:
            del given["stop"]
    return given


def extra_fields(parameters: dict[str, Any]) -> dict[str, Any]:
    """Take `extra` out of the parameters: fields for the provider's request body, as they are."""
    extra = parameters.pop("extra", {})
    if not isinstance(extra, dict):
        raise EngineError(ErrorKind.BAD_REQUEST, "The parameter 'extra' must be an object.")
    return dict(extra)
