"""Calling language models: one protocol, an adapter a provider. Pure Python, without Django or a database."""

from promptops.engines.registry import SUPPORTED_PARAMETERS, create_engine
from promptops.engines.tokens import count_tokens
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
    "count_tokens",
    "create_engine",
]
