"""What every REST router shares: the shape of problems and lists, a strict JSON parser, the documented answers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Generic, TypeVar

from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import Field, Schema
from ninja.parser import Parser
from ninja.renderers import JSONRenderer
from pydantic import ConfigDict, WithJsonSchema

from promptops.core.errors import AppError
from promptops.core.pagination import MAX_PAGE_SIZE, PAGE_SIZE, Page

API_ROOT = "/api/"
PROBLEM_TYPE = "application/problem+json"
NOTE_HEADER = "X-Internal-Cache-Note"  # on an answer that the web process may keep; it never leaves the process

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Model)

JsonObject = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": True})]


class Given(Schema):
    """A request body. A field that we do not know is refused: a misspelt one would silently do nothing."""

    model_config = ConfigDict(extra="forbid")


class Problem(Schema):
    """RFC 9457 problem details; the media type is `application/problem+json`. Some problems have further members."""

    type: str = Field(description="Identifies the kind of problem.", examples=["urn:promptops:problem:not_found"])
    title: str = Field(description="The phrase of the HTTP status.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    code: str = Field(description="The kind of problem in one word, for programs.", examples=["not_found"])
    detail: str = Field(description="What happened and what to do about it, for people.")
    errors: dict[str, list[str]] | None = Field(
        None,
        description="What is wrong with the input, by path.",
        examples=[{"messages.0.role": ["must be one of system, user, assistant, tool, developer"]}],
    )


class Listing(Schema, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = Field(None, description="Pass it as `cursor` to get the next page; null on the last.")


class Paging(Schema):
    """The query parameters of every list."""

    cursor: str | None = Field(None, max_length=1000, description="`next` of the page before.")
    limit: int = Field(PAGE_SIZE, ge=1, le=MAX_PAGE_SIZE, description="Items on the page.")


def listing(page: Page[Row], as_json: Callable[[Row], Mapping[str, Any]]) -> dict[str, Any]:
    """Return a page as JSON."""
    return {"items": [as_json(row) for row in page.items], "next": page.next}


def answers(*refusals: int, **successes: Any) -> dict[int, Any]:
    """Return the documented answers of an operation: ``answers(404, ok=Prompt, created=Version)``.

    Every operation can also answer 401, 403, 422 and 429 (and 500, which is never expected).
    """
    codes = {"ok": 200, "created": 201, "accepted": 202, "empty": 204}
    documented: dict[int, Any] = {codes[name]: schema for name, schema in successes.items()}
    return {**documented, **dict.fromkeys(sorted({401, 403, 422, *refusals}), Problem)}


def problem_response(problem: AppError | Mapping[str, Any]) -> HttpResponse:
    """Return an error as ``application/problem+json``."""
    body = problem.as_problem() if isinstance(problem, AppError) else dict(problem)
    answer = HttpResponse(dumps(body), status=body["status"], content_type=PROBLEM_TYPE)
    answer["Cache-Control"] = "no-store"
    if body["status"] == 401:
        answer["WWW-Authenticate"] = 'Bearer realm="promptops"'
    if "retry_after" in body:
        answer["Retry-After"] = str(max(1, math.ceil(body["retry_after"])))
    return answer


def dumps(content: Any) -> str:
    """Return compact JSON with text as it is (not ``\\u`` escapes: Chinese prompts would double in size)."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), cls=JSONRenderer.encoder_class)


class CompactRenderer(JSONRenderer):
    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> str:
        return dumps(data)


class MalformedJson(AppError):
    http_status = 400
    default_code = "malformed_json"


class StrictParser(Parser):
    """JSON as RFC 8259 has it, and only what PostgreSQL can store.

    Python's parser also takes ``NaN``, numbers that overflow to infinity, NUL characters and halves of surrogate pairs;
    each of them would end as a server error further in.
    """

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        return parse_json(request.body)  # type: ignore[no-any-return]


def parse_json(body: bytes) -> Any:
    """Parse strictly. Raises MalformedJson."""
    try:
        parsed = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise MalformedJson(_("The body is not valid JSON: %s.") % error) from None
    if b"\\u" in body or b"\x00" in body:
        for text in _texts(parsed):
            if "\x00" in text:
                raise MalformedJson(_("The body has a NUL character, which cannot be stored."))
            try:
                text.encode()
            except UnicodeEncodeError:
                raise MalformedJson(_("The body has half of a surrogate pair, which is not text.")) from None
    return parsed


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _texts(content: Any) -> Iterator[str]:
    remaining = [content]
    while remaining:
        one = remaining.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            remaining.extend(one)
            remaining.extend(one.values())
        elif isinstance(one, list):
            remaining.extend(one)
