"""What django-ninja does not know of our answers, added to the OpenAPI document; and the page that shows it."""

from __future__ import annotations

import copy
from typing import Any

DESCRIPTION = """\
Manage prompts, serve them to your services, run them and read what came of it.

**Authentication.** Send `Authorization: Bearer po_…`. The token names the project; make one under Settings → Tokens, or
with `manage.py token`. A browser session is not accepted.

**Errors** are problem JSON (RFC 9457) with a `code` for programs and a `detail` for people; wrong input is 422 with
`errors` by path.

**Lists** answer `{items, next}`: pass `next` as `cursor` until it is null.

**Repeating safely.** Every POST takes an `Idempotency-Key`. A repeat within 24 hours gets the first answer again, with
`Idempotency-Replayed: true`.
"""

_IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "description": "Makes the request safe to repeat: for 24 hours a repeat gets the first answer and does nothing. "
    "The same key with another request is 422; while the first one is at work it is 409 with Retry-After.",
}
_PROBLEM = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_MEANING = {
    304: "What you have is still right.",
    308: "The prompt has another slug now: the same path with it is in Location.",
    401: "No token, or one that is not live.",
    403: "The token's role or scopes do not suffice.",
    404: "There is nothing here, for this project.",
    409: "The state of things does not allow it: see `code`.",
    413: "Too large.",
    422: "The input is not valid: see `errors`.",
    429: "Too many requests: wait for Retry-After seconds.",
}
_HEADERS = {
    "ETag": {"schema": {"type": "string"}, "description": "A strong ETag of the answer."},
    "Location": {"schema": {"type": "string"}, "description": "The path of what was made, or of where it is now."},
}


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with problem answers, idempotency keys and headers."""
    document = copy.deepcopy(dict(document))
    document["components"]["securitySchemes"]["TokenBearer"]["description"] = "An API token of the project."
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _describe_operation(path, method, operation)
    document["paths"] = dict(sorted(document["paths"].items()))
    document["components"]["schemas"] = dict(sorted(document["components"]["schemas"].items()))
    return document


def _describe_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    if method == "post":
        operation["parameters"].append(copy.deepcopy(_IDEMPOTENCY_KEY))
    described: dict[str, Any] = {}
    for status, answer in sorted(operation["responses"].items(), key=lambda one: int(one[0])):
        code = int(status)
        if code >= 400 or code == 308:
            answer = copy.deepcopy(_PROBLEM)
        answer["description"] = answer.get("description") if code < 300 else _MEANING[code]
        headers = {
            name: _HEADERS[name]
            for name, told in (
                ("ETag", path.endswith("/resolve") and code in (200, 304)),
                ("Location", code in (201, 202, 308)),
            )
            if told
        }
        if headers:
            answer["headers"] = headers
        described[str(code)] = answer
    described["default"] = {"description": "Any other error.", **copy.deepcopy(_PROBLEM)}
    operation["responses"] = described
