"""REST: prompts, and the served version."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpResponse
from ninja import Path, Query, Router, Status

from promptops.accounts.bearer import ApiRequest
from promptops.core.conditional import conditional_json
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, answers, dumps, listing
from promptops.prompts import schemas, selectors, services
from promptops.prompts.api.versions import version_json
from promptops.prompts.dependents import dependents_of
from promptops.prompts.models import Label, Prompt

router = Router(tags=["Prompts"])


@router.get("/prompts", response=answers(ok=Listing[schemas.Prompt]), summary="List prompts")
def list_prompts(request: ApiRequest, filters: Query[schemas.PromptFilters]) -> dict[str, Any]:
    """The prompts of the project, the last changed first."""
    prompts = selectors.search_prompts(
        request.project,
        text=filters.q,
        folder=filters.folder,
        tag=filters.tag,
        archived=filters.archived,
        kind=filters.kind,
    )
    page = page_of(prompts, order=("-updated_at", "-id"), cursor=filters.cursor, limit=filters.limit)
    labels = selectors.live_labels([prompt.pk for prompt in page.items])
    return listing(page, lambda prompt: prompt_json(prompt, labels.get(prompt.pk, [])))


@router.post("/prompts", response=answers(409, created=schemas.Version), summary="Create a prompt")
def create_prompt(request: ApiRequest, given: schemas.PromptGiven, response: HttpResponse) -> Status[Any]:
    """Creates the prompt with its version 1, and answers with that version."""
    version = services.create_prompt(
        request.actor,
        request.project,
        given.dict(exclude_none=True),
        slug=given.slug,
        folder=given.folder,
        description=given.description,
        tags=given.tags,
        message=given.message,
    )
    response["Location"] = f"/api/v1/prompts/{version.prompt.slug}/versions/{version.number}"
    return Status(201, version_json(version, labels=[]))


@router.get("/prompts/{slug}", response=answers(308, 404, ok=schemas.Prompt), summary="Read a prompt")
def read_prompt(request: ApiRequest, slug: Path[str]) -> dict[str, Any]:
    """The heading of a prompt; its text is in its versions. A former slug answers 308 with the present path."""
    return _with_labels(selectors.get_prompt(request.project, slug))


@router.patch("/prompts/{slug}", response=answers(308, 404, 409, ok=schemas.Prompt), summary="Rename or file a prompt")
def change_prompt(request: ApiRequest, slug: Path[str], given: schemas.PromptChange) -> dict[str, Any]:
    """Changes slug, folder, description or tags. Paths with the old slug redirect to the new one from then on."""
    prompt = selectors.get_prompt(request.project, slug)
    prompt = services.update_prompt(
        request.actor, prompt, slug=given.slug, folder=given.folder, description=given.description, tags=given.tags
    )
    return _with_labels(prompt)


@router.post("/prompts/{slug}/archive", response=answers(308, 404, 409, ok=schemas.Prompt), summary="Archive a prompt")
def archive_prompt(request: ApiRequest, slug: Path[str]) -> dict[str, Any]:
    """Takes the prompt out of lists and out of `resolve`. Nothing is deleted."""
    return _with_labels(services.archive_prompt(request.actor, selectors.get_prompt(request.project, slug)))


@router.post("/prompts/{slug}/restore", response=answers(308, 404, ok=schemas.Prompt), summary="Restore a prompt")
def restore_prompt(request: ApiRequest, slug: Path[str]) -> dict[str, Any]:
    """Undoes archiving."""
    return _with_labels(services.restore_prompt(request.actor, selectors.get_prompt(request.project, slug)))


@router.get(
    "/prompts/{slug}/resolve",
    response=answers(308, 404, 409, ok=schemas.Served),
    summary="Get the served version",
    openapi_extra={"responses": {304: {"description": "The caller's ETag (If-None-Match) is still right."}}},
)
def resolve(
    request: ApiRequest,
    slug: Path[str],
    label: str | None = None,
    version: int | None = None,
    includes: Literal["resolved", "unresolved"] = "resolved",
) -> HttpResponse:
    """The version under a label, or the version with a number.

    Without either it is the one under `production`; where nothing stands there it is 404, never silently the latest.
    `label=latest` asks for the newest. This is the path to call before each of your own calls: it is answered from
    memory, and a moved label shows within a second. Send the ETag back in `If-None-Match` and get 304.

    The texts of included prompts are put in, unless `includes=unresolved` asks for the text as it was written; which
    versions they are is in `includes`. Where one cannot be put in, it is 409 (`include_broken`) with the reason.
    """
    token = request.auth
    # For the web process (promptops/resolve_cache.py): whose answer this is, and until when at most.
    request.cache_note = {  # type: ignore[attr-defined]
        "project": request.project.pk,
        "token": token.pk,
        "expires": token.expires_at.timestamp() if token.expires_at else None,
    }
    resolved = includes == "resolved"
    answer = selectors.served(request.project, slug, label=label, number=version, resolved=resolved)
    return conditional_json(request, dumps(answer))


@router.get(
    "/prompts/{slug}/dependents",
    response=answers(308, 404, ok=list[schemas.Dependent]),
    summary="List what includes a prompt",
)
def list_dependents(request: ApiRequest, slug: Path[str], label: str | None = None) -> list[dict[str, Any]]:
    """What is affected when the prompt changes, nearest first: versions that include it, directly or through others,
    and are live or the newest of their prompt. With `label`: only those that follow when that label moves."""
    return [
        {
            "prompt": one.version.prompt.slug,
            "version": one.version.number,
            "labels": one.labels,
            "newest": one.is_newest,
            "references": one.references,
            "depth": one.depth,
            "runs_7_days": one.activity.runs,
        }
        for one in dependents_of(selectors.get_prompt(request.project, slug), label=label)
    ]


def prompt_json(prompt: Prompt, labels: list[Label]) -> dict[str, Any]:
    """Return the heading of a prompt as JSON."""
    return {
        "slug": prompt.slug,
        "folder": prompt.folder,
        "description": prompt.description,
        "tags": prompt.tags,
        "kind": prompt.kind,
        "latest_version": prompt.last_number,
        "labels": {label.name: label.version.number for label in labels if label.version is not None},
        "created_at": prompt.created_at,
        "updated_at": prompt.updated_at,
        "archived_at": prompt.archived_at,
    }


def _with_labels(prompt: Prompt) -> dict[str, Any]:
    return prompt_json(prompt, selectors.live_labels([prompt.pk]).get(prompt.pk, []))
