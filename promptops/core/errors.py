"""Domain errors. A service raises one; the HTML middleware and the REST handler each turn it into an answer.

The JSON form is RFC 9457 (problem details): ``type``, ``title``, ``status``, ``detail``, ``code`` and the extra members
of the error. A detail is a whole sentence that says what happened and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar


class AppError(Exception):
    """An expected failure of a request; never a bug. ``extra`` must be JSON."""

    http_status: ClassVar[int] = 400
    default_code: ClassVar[str] = "error"

    def __init__(self, detail: str, *, code: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.extra = extra

    def __str__(self) -> str:
        return str(self.detail)

    def as_problem(self) -> dict[str, Any]:
        """Return the RFC 9457 body."""
        return {
            "type": f"urn:promptops:problem:{self.code}",
            "title": HTTPStatus(self.http_status).phrase,
            "status": self.http_status,
            "code": self.code,
            "detail": str(self.detail),
            **self.extra,
        }


class NotFound(AppError):
    http_status = 404
    default_code = "not_found"


class Forbidden(AppError):
    http_status = 403
    default_code = "forbidden"


class Unauthenticated(AppError):
    http_status = 401
    default_code = "unauthenticated"


class Conflict(AppError):
    http_status = 409
    default_code = "conflict"


class TooLarge(AppError):
    http_status = 413
    default_code = "too_large"


class Invalid(AppError):
    """The input was understood and refused. ``errors`` maps a field or path (``messages.0.role``) to texts."""

    http_status = 422
    default_code = "invalid"

    def __init__(
        self, detail: str, *, errors: Mapping[str, list[str]] | None = None, code: str | None = None, **extra: Any
    ) -> None:
        self.errors = {field: [str(message) for message in messages] for field, messages in (errors or {}).items()}
        super().__init__(detail, code=code, errors=self.errors, **extra)


class RateLimited(AppError):
    http_status = 429
    default_code = "rate_limited"


class Unavailable(AppError):
    http_status = 503
    default_code = "unavailable"
