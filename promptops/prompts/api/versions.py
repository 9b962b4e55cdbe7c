"""REST: versions and their differences."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.http import HttpResponse
from ninja import P, Path, Query, QueryEx, Router, Status

from promptops.accounts.bearer import ApiRequest
from promptops.core.pagination import page_of
from promptops.core.rest import JsonObject, Listing, Paging, answers, listing
from promptops.prompts import schemas, selectors, services
from promptops.prompts.content import content_json
from promptops.prompts.models import Prompt, PromptVersion
from promptops.prompts.querysets import labels_of, versions_of

router = Router(tags=["Versions"])


@router.get(
    "/prompts/{slug}/versions", response=answers(308, 404, ok=Listing[schemas.VersionHead]), summary="List versions"
)
def list_versions(request: ApiRequest, slug: Path[str], paging: Query[Paging]) -> dict[str, Any]:
    """The history of a prompt, newest first."""
    prompt = selectors.get_prompt(request.project, slug)
    page = page_of(versions_of(prompt), order=("-number",), cursor=paging.cursor, limit=paging.limit)
    labels = _labels_by_version(prompt)
    return listing(page, lambda version: head_json(version, prompt, labels.get(version.pk, [])))


@router.post(
    "/prompts/{slug}/versions",
    response=answers(308, 404, 409, ok=schemas.Version, created=schemas.Version),
    summary="Save a version",
)
def create_version(
    request: ApiRequest, slug: Path[str], given: schemas.VersionGiven, response: HttpResponse
) -> Status[Any]:
    """Saves a version behind the newest one: 201. Content equal to the newest saves nothing: 200 with what stands."""
    prompt = selectors.get_prompt(request.project, slug)
    fields = given.dict(exclude_none=True)
    if given.syntax is None:
        fields["syntax"] = selectors.get_version(prompt, label=selectors.LATEST).content["syntax"]
    version, created = services.create_version(
        request.actor,
        prompt,
        fields,
        message=given.message,
        expected_head=given.expected_head,
    )
    response["Location"] = f"/api/v1/prompts/{prompt.slug}/versions/{version.number}"
    labels = [] if created else _labels_by_version(prompt).get(version.pk, [])
    return Status(201 if created else 200, version_json(version, labels=labels))


@router.get(
    "/prompts/{slug}/versions/{number}", response=answers(308, 404, ok=schemas.Version), summary="Read a version"
)
def read_version(request: ApiRequest, slug: Path[str], number: Path[int]) -> dict[str, Any]:
    """A version with its text. It never changes."""
    prompt = selectors.get_prompt(request.project, slug)
    version = selectors.get_version(prompt, number=number)
    return version_json(version, labels=_labels_by_version(prompt).get(version.pk, []))


@router.get("/prompts/{slug}/diff", response=answers(308, 404, ok=JsonObject), summary="Compare two versions")
def diff(request: ApiRequest, slug: Path[str], from_: QueryEx[int, P(alias="from")], to: Query[int]) -> dict[str, Any]:
    """What changed: words per message, parameters, variables and schema by key, and what breaks callers."""
    prompt = selectors.get_prompt(request.project, slug)
    old, new = (selectors.get_version(prompt, number=number) for number in (from_, to))
    return {"prompt": prompt.slug, "from": from_, "to": to, **dataclasses.asdict(selectors.diff_versions(old, new))}


def head_json(version: PromptVersion, prompt: Prompt, labels: list[str]) -> dict[str, Any]:
    """Return a version without its text as JSON."""
    return {
        "prompt": prompt.slug,
        "version": version.number,
        "parent": version.parent.number if version.parent else None,
        "message": version.message,
        "author": version.author_name,
        "created_at": version.created_at,
        "labels": labels,
        "sha256": version.content_sha256,
    }


def version_json(version: PromptVersion, *, labels: list[str]) -> dict[str, Any]:
    """Return a version with its text as JSON."""
    return {**head_json(version, version.prompt, labels), **content_json(version.content)}


def _labels_by_version(prompt: Prompt) -> dict[int, list[str]]:
    by_version: dict[int, list[str]] = {}
    for label in labels_of(prompt):
        if label.version_id is not None:
            by_version.setdefault(label.version_id, []).append(label.name)
    return by_version
