"""Strong ETags and If-None-Match (RFC 9110 sections 8.8.3 and 13.1.2), for Django's answers and for the hot path."""

from __future__ import annotations

import hashlib
import re

from django.http import HttpRequest, HttpResponse

_TAG = re.compile(r'(?:W/)?("[^"]*")')


def etag_of(body: bytes) -> str:
    """Return a strong ETag: the same bytes give the same tag in every process."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(if_none_match: str, etag: str) -> bool:
    """Return whether the caller has this representation. The comparison is the weak one, as If-None-Match asks for."""
    return if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match)


def conditional_json(request: HttpRequest, text: str) -> HttpResponse:
    """Return a JSON answer with its ETag, 304 where the caller has it. It may be kept, but is asked for again."""
    body = text.encode()
    etag = etag_of(body)
    if matches(request.headers.get("If-None-Match", ""), etag):
        answer = HttpResponse(status=304)
        del answer["Content-Type"]
    else:
        answer = HttpResponse(body, content_type="application/json; charset=utf-8")
    answer["ETag"] = etag
    answer["Cache-Control"] = "private, no-cache"
    return answer
