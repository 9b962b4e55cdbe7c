"""The vocabulary of the engines: what a caller asks for, what comes back, and how it can go wrong.

Everything here is plain data without a dependency, so that callers can name these types without importing a
provider's SDK. Tokens are ints, times are seconds as float.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

JsonObject: TypeAlias = Mapping[str, Any]

FinishReason: TypeAlias = Literal["stop", "length", "content_filter", "tool_calls", "cancelled"]

Billed: TypeAlias = Literal["no", "maybe", "yes"]

AddressCheck: TypeAlias = Callable[[str, str, int], None]
"""Called with (host, ip, port) before a connection to `ip` is opened; raises to refuse it."""


@dataclass(frozen=True)
class Connection:
    """Where an engine sends its requests, and with which secret.

    `base_url` None means the provider's own address. `check_address` None means that every address may be reached.
    `model_dir` is the folder of a converted local model; only provider "local" reads it.
    """

    provider: str
    api_key: str = field(default="", repr=False)
    base_url: str | None = None
    check_address: AddressCheck | None = field(default=None, repr=False)
    connect_timeout: float = 10.0
    model_dir: Path | None = None


@dataclass(frozen=True)
class CompletionRequest:
    """One call of a language model.

    `messages` are chat messages `{role, content}`; content is a string or a list of parts. `parameters` may hold
    temperature, top_p, top_k, max_tokens, stop (a string or a list), seed, frequency_penalty, presence_penalty, and
    `extra`: an object that is merged into the provider's request body as it is. None is "not set". `timeout` bounds
    the whole call in seconds, from the first byte sent to the last one read.
    """

    model_name: str
    messages: Sequence[JsonObject]
    parameters: JsonObject = field(default_factory=dict)
    output_schema: JsonObject | None = None
    timeout: float = 120.0


@dataclass(frozen=True)
class Usage:
    """Tokens that a call used.

    `input_tokens` counts the whole prompt; `cached_input_tokens` (read from the provider's cache) and
    `cache_write_tokens` are parts of it. `output_tokens` counts everything generated; `reasoning_tokens` are part of
    it. `estimated` says that the provider gave no believable numbers and they were counted here.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True)
class CompletionResult:
    """A finished call. `time_to_first_token` is in seconds and known only where the answer was streamed."""

    text: str
    finish_reason: FinishReason
    usage: Usage
    response_model: str | None = None
    response_id: str | None = None
    system_fingerprint: str | None = None
    time_to_first_token: float | None = None
    tool_calls: tuple[JsonObject, ...] = ()


@dataclass(frozen=True)
class TextDelta:
    """A piece of the answer, in order; the pieces of a stream joined are the result's text."""

    text: str


class ErrorKind(StrEnum):
    """Why a call failed; each kind asks something different of the caller."""

    RATE_LIMITED = "rate_limited"
    SPEND_LIMIT = "spend_limit"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TRUNCATED_STREAM = "truncated_stream"
    MALFORMED_RESPONSE = "malformed_response"
    CONTENT_FILTER = "content_filter"
    CONTEXT_LENGTH = "context_length"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    REFUSED_ADDRESS = "refused_address"
    UNAVAILABLE = "unavailable"
    CANCELLED = "cancelled"


PERMANENT_KINDS = frozenset(
    {
        ErrorKind.SPEND_LIMIT,
        ErrorKind.CONTENT_FILTER,
        ErrorKind.CONTEXT_LENGTH,
        ErrorKind.AUTHENTICATION,
        ErrorKind.PERMISSION,
        ErrorKind.NOT_FOUND,
        ErrorKind.BAD_REQUEST,
        ErrorKind.REFUSED_ADDRESS,
        ErrorKind.UNAVAILABLE,
        ErrorKind.CANCELLED,
    }
)
"""Kinds that the same request will meet again: a retry only costs time."""


class EngineError(Exception):
    """A call that gave no whole answer.

    `permanent`: the same request would fail again (default: by kind). `retry_after`: seconds that the provider asked
    us to wait. `partial_text`: what had arrived. `status`: the HTTP status, if there was one. `billed`: whether the
    provider charges for it: "no" (it never started), "yes" (text was generated), or "maybe". The message never holds
    the API key.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        permanent: bool | None = None,
        retry_after: float | None = None,
        partial_text: str = "",
        status: int | None = None,
        billed: Billed = "no",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.permanent = kind in PERMANENT_KINDS if permanent is None else permanent
        self.retry_after = retry_after
        self.partial_text = partial_text
        self.status = status
        self.billed: Billed = billed

    def __repr__(self) -> str:
        return f"EngineError({self.kind.value}, {self.message!r}, permanent={self.permanent}, billed={self.billed})"


@dataclass(frozen=True)
class TokenCount:
    """Tokens of a prompt; `estimated` where no tokenizer of that model is at hand."""

    tokens: int
    estimated: bool


StreamItem: TypeAlias = TextDelta | CompletionResult


class Engine(Protocol):
    """A connection to a provider. Long-lived, used from one asyncio loop; many calls may run at once.

    Cancelling the task that waits for a call ends the call at the provider at once (the socket is closed).
    """

    async def complete(self, request: CompletionRequest) -> CompletionResult:
        """Run the call to its end. Raises `EngineError`."""
        ...

    def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamItem, None]:
        """Yield the text as it comes, then the result as the last item. Raises `EngineError`.

        Whoever leaves the loop early closes the generator (`contextlib.aclosing`), which ends the call.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection. The engine cannot be used after that."""
        ...
