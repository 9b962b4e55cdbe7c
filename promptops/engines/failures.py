"""From whatever went wrong in an HTTP call to one `EngineError`.

Shared by the OpenAI and the Anthropic adapter: their servers, and the many servers that imitate them, differ in wording
but not in kind. Where a status is ambiguous (400, 403 and 429 mean several things) the body's code and text decide.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

import httpx2

from promptops.engines.types import Billed, EngineError, ErrorKind

MESSAGE_LENGTH = 500

_CONTEXT_MARKS = (
    "context_length_exceeded",
    "maximum context length",
    "context window",
    "context length",
    "context limit",
    "prompt is too long",
    "input is too long",
    "string_above_max_length",
    "request_too_large",
)
_FILTER_MARKS = (
    "content_filter",
    "content_policy",
    "content management policy",
    "responsibleaipolicy",
    "safety system",
)
_SPEND_MARKS = (
    "insufficient_quota",
    "exceeded your current quota",
    "billing_hard_limit",
    "billing_not_active",
    "billing_error",
    "credit balance",
    "insufficient credits",
    "payment required",
)
_KIND_BY_TYPE = {
    "overloaded_error": ErrorKind.OVERLOADED,
    "engine_overloaded": ErrorKind.OVERLOADED,
    "rate_limit_error": ErrorKind.RATE_LIMITED,
    "rate_limit_exceeded": ErrorKind.RATE_LIMITED,
    "authentication_error": ErrorKind.AUTHENTICATION,
    "invalid_api_key": ErrorKind.AUTHENTICATION,
    "permission_error": ErrorKind.PERMISSION,
    "not_found_error": ErrorKind.NOT_FOUND,
    "model_not_found": ErrorKind.NOT_FOUND,
    "timeout_error": ErrorKind.TIMEOUT,
    "invalid_request_error": ErrorKind.BAD_REQUEST,
}
_KIND_BY_STATUS = {
    401: ErrorKind.AUTHENTICATION,
    402: ErrorKind.SPEND_LIMIT,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.NOT_FOUND,
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.SERVER_ERROR,
    413: ErrorKind.CONTEXT_LENGTH,
    429: ErrorKind.RATE_LIMITED,
    503: ErrorKind.OVERLOADED,
    529: ErrorKind.OVERLOADED,
}


class MalformedResponseError(ValueError):
    """The answer arrived whole but is not what the protocol promises."""


def engine_error(exception: BaseException, *, answering: bool, partial_text: str, secret: str) -> EngineError | None:
    """What `exception` of a call means, or None for a defect of ours that should be seen as it is.

    `answering`: the response's headers had arrived. `secret` is cut out of every message.
    """
    error = _classified(exception, answering)
    if error is None:
        return None
    billed = error.billed
    if partial_text and billed == "maybe":
        billed = "yes"
    return EngineError(
        error.kind,
        redacted(error.message, secret),
        permanent=error.permanent,
        retry_after=error.retry_after,
        partial_text=partial_text,
        status=error.status,
        billed=billed,
    )


def redacted(message: str, secret: str) -> str:
    """The message without the secret (servers like to quote a wrong key), cut to a readable length."""
    if secret:
        message = message.replace(secret, "[key]")
    return message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"


def error_from_body(body: object, status: int | None = None, retry_after: float | None = None) -> EngineError:
    """The error that a server describes in JSON, in an answer with `status` or in the middle of a stream (None)."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    fields = error if isinstance(error, Mapping) else {"message": error if isinstance(error, str) else ""}
    message = str(fields.get("message") or fields.get("detail") or "").strip()
    names = [str(fields.get(name) or "").lower() for name in ("code", "type")]
    kind = _kind_of(status, names, message)
    prefix = f"The provider answered {status}" if status else "The provider stopped with an error"
    return EngineError(
        kind,
        f"{prefix}: {message}" if message else f"{prefix}.",
        retry_after=retry_after,
        status=status,
        billed=_billed_by(status),
    )


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """The wait that `retry-after-ms` or `Retry-After` (seconds or an HTTP date, RFC 9110) asks for."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if not value:
            continue
        try:
            seconds = float(value) * scale
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, TypeError):
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def _classified(exception: BaseException, answering: bool) -> EngineError | None:
    for cause in _causes(exception):
        error = _meaning(cause, answering)
        if error is not None:
            return error
    return None


def _meaning(cause: BaseException, answering: bool) -> EngineError | None:
    if isinstance(cause, EngineError):
        return cause
    response = getattr(cause, "response", None)
    if isinstance(response, httpx2.Response) and response.status_code >= 300:
        return error_from_response(response, getattr(cause, "body", None))
    if isinstance(cause, httpx2.ConnectTimeout):
        return EngineError(ErrorKind.CONNECTION, "The server could not be reached in time.")
    if isinstance(cause, TimeoutError | httpx2.TimeoutException):
        return EngineError(ErrorKind.TIMEOUT, "The provider did not answer in time.", billed="maybe")
    if isinstance(cause, httpx2.ConnectError):
        return EngineError(ErrorKind.CONNECTION, f"The server could not be reached: {cause}")
    if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.InvalidURL | httpx2.LocalProtocolError):
        return EngineError(ErrorKind.BAD_REQUEST, f"The request cannot be sent: {cause}")
    if isinstance(cause, httpx2.TransportError):
        return _broken_off(cause, answering)
    if isinstance(cause, MalformedResponseError | UnicodeDecodeError):
        return EngineError(ErrorKind.MALFORMED_RESPONSE, f"The provider's answer is not valid: {cause}", billed="maybe")
    return None


def _broken_off(cause: Exception, answering: bool) -> EngineError:
    if answering:
        message = f"The connection ended in the middle of the answer: {cause}"
        return EngineError(ErrorKind.TRUNCATED_STREAM, message, billed="maybe")
    return EngineError(ErrorKind.CONNECTION, f"The connection was lost before an answer came: {cause}", billed="maybe")


def error_from_response(response: httpx2.Response, body: object) -> EngineError:
    """The error that an answer other than 200 means; ``body`` is its JSON, None where it has none."""
    if response.is_redirect:
        return EngineError(
            ErrorKind.BAD_REQUEST,
            f"The server answered {response.status_code}, a redirect; redirects are not followed. "
            "Set the base URL to the final address.",
            status=response.status_code,
        )
    return error_from_body(body, response.status_code, retry_after_seconds(response.headers))


def _kind_of(status: int | None, names: list[str], message: str) -> ErrorKind:
    text = " ".join([*names, message.lower()])
    if status is None or status in (400, 402, 403, 413, 422, 429):
        if any(mark in text for mark in _SPEND_MARKS):
            return ErrorKind.SPEND_LIMIT
        if status != 429 and any(mark in text for mark in _CONTEXT_MARKS):
            return ErrorKind.CONTEXT_LENGTH
        if status != 429 and any(mark in text for mark in _FILTER_MARKS):
            return ErrorKind.CONTENT_FILTER
    if status in _KIND_BY_STATUS:
        return _KIND_BY_STATUS[status]
    named = next((_KIND_BY_TYPE[name] for name in names if name in _KIND_BY_TYPE), ErrorKind.SERVER_ERROR)
    if status is None:
        return named
    if status >= 500:
        return named if named == ErrorKind.OVERLOADED else ErrorKind.SERVER_ERROR
    return ErrorKind.BAD_REQUEST


def _billed_by(status: int | None) -> Billed:
    """Refusals cost nothing; a failure inside the provider, or in mid-stream, may have cost tokens."""
    return "no" if status is not None and (status < 500 or status in (503, 529)) else "maybe"


def _causes(exception: BaseException) -> Iterator[BaseException]:
    """The exception and its explicit causes. Not its context: that may be an older error the caller is handling."""
    current: BaseException | None = exception
    while current is not None:
        yield current
        current = current.__cause__
