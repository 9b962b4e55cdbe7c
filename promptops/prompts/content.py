"""From what came in (a form, a JSON body) to the canonical content of a spec, and its hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import rfc8785
from django.utils.translation import gettext as _

from promptops import templating
from promptops.core.errors import Invalid

FIELDS = ("kind", "syntax", "messages", "parameters", "variables", "output_schema")
EMPTY: dict[str, Any] = {
    "kind": "chat",
    "syntax": "jinja",
    "messages": [],
    "parameters": {},
    "variables": {},
    "output_schema": None,
}


def content_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the canonical content of ``given`` (other keys are left out).

    Raises:
        Invalid: the shape is wrong or a template does not parse; ``errors`` by path, such as ``messages.1.content``.
    """
    spec = {name: given[name] for name in FIELDS if given.get(name) is not None}
    errors: dict[str, list[str]] = {}
    for mistake in templating.validate_spec(spec):
        errors.setdefault(mistake.path or "content", []).append(mistake.message)
    if errors:
        raise Invalid(_("The prompt was not saved: please correct what is marked."), errors=errors)
    content: dict[str, Any] = templating.canonical_spec(spec)
    problems = templating.check_syntax(templating.template_of(content))
    if problems:
        by_path: dict[str, list[str]] = {}
        for problem in problems:
            by_path.setdefault(f"messages.{problem.message_index or 0}.content", []).append(str(problem))
        raise Invalid(_("A template does not parse."), errors=by_path, code="template_syntax")
    return content


def content_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a content as every answer shows it: all of ``FIELDS``, in that order."""
    return {name: content[name] for name in FIELDS}


def content_sha256(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) over the canonical JSON (RFC 8785) of a content."""
    return hashlib.sha256(rfc8785.dumps(dict(content))).hexdigest()


def closure_sha256(content_hash: str, *, includes: Sequence[str] = (), examples: Sequence[str] = ()) -> str:
    """Return the hash of what a version means together with what it pulls in.

    ``includes`` are the closure hashes of the included versions and ``examples`` the hashes of the dataset versions, in
    the order in which the content names them.
    """
    closure = {"content": content_hash, "includes": list(includes), "examples": list(examples)}
    return hashlib.sha256(rfc8785.dumps(closure)).hexdigest()


def searchable_text(content: Mapping[str, Any]) -> str:
    """Return the words of a content, for search."""
    words: list[str] = []
    for message in content.get("messages", []):
        text = message.get("content", message.get("name", ""))
        if isinstance(text, str):
            words.append(text)
        else:
            words.extend(str(part.get("text", "")) for part in text if isinstance(part, dict))
    words.extend(content.get("variables", {}))
    return "\n".join(words)
