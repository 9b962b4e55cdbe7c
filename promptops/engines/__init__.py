"""Calling language models: one protocol, an adapter a provider. Pure Python, without Django or a database."""

from promptops.engines.registry import DEFAULT_MAX_TOKENS, SUPPORTED_PARAMETERS, create_engine
from promptops.engines.tokens import count_texts, count_tokens
from promptops.engines.types import (
    CompletionRequest,
    CompletionResult,
    Connection,
    Engine,
    EngineError,
    ErrorKind,
    StreamItem,
    TextDelta,
    TokenCount,
    Usage,
)

__all__ = [
    "DEFAULT_MAX_TOKENS",
    "SUPPORTED_PARAMETERS",
    "CompletionRequest",
    "CompletionResult",
    "Connection",
    "Engine",
    "EngineError",
    "ErrorKind",
    "StreamItem",
    "TextDelta",
    "TokenCount",
    "Usage",
    "count_texts",
    "count_tokens",
    "create_engine",
]
