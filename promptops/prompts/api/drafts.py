"""REST: drafts. A token edits the drafts of the person who made it."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Path, Query, Router, Status

from promptops.accounts.bearer import ApiRequest
from promptops.accounts.policies import Permission, require
from promptops.core.errors import Forbidden, NotFound
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, Paging, answers, listing
from promptops.prompts import schemas, selectors, services
from promptops.prompts.api.versions import version_json
from promptops.prompts.models import Draft
from promptops.prompts.querysets import drafts_of

router = Router(tags=["Drafts"])


@router.get("/drafts", response=answers(ok=Listing[schemas.Draft]), summary="List drafts")
def list_drafts(request: ApiRequest, paging: Query[Paging]) -> dict[str, Any]:
    """The person's own drafts, the last edited first."""
    drafts = drafts_of(request.project, owner_id=_person_id(request))
    page = page_of(drafts, order=("-updated_at", "-id"), cursor=paging.cursor, limit=paging.limit)
    return listing(page, draft_json)


@router.post("/drafts", response=answers(404, 409, 413, created=schemas.Draft), summary="Begin a draft")
def create_draft(request: ApiRequest, given: schemas.DraftGiven, response: HttpResponse) -> Status[Any]:
    """Begins a draft of a prompt, from its newest version, or of a new prompt. A person has one draft of a prompt."""
    if given.prompt is None:
        draft = services.start_draft(request.actor, request.project)
    else:
        draft = services.open_draft(request.actor, selectors.find_prompt(request.project, given.prompt))
    # Where there is a draft already, revision 0 is stale: the answer is 409 with both texts.
    content = draft.content if given.content is None else given.content
    draft = services.save_draft(request.actor, draft, revision=0, content=content, heading=given.heading)
    response["Location"] = f"/api/v1/drafts/{draft.pk}"
    return Status(201, draft_json(draft))


@router.get("/drafts/{draft_id}", response=answers(404, ok=schemas.Draft), summary="Read a draft")
def read_draft(request: ApiRequest, draft_id: Path[int]) -> dict[str, Any]:
    return draft_json(_draft(request, draft_id))


@router.put("/drafts/{draft_id}", response=answers(404, 409, 413, ok=schemas.Draft), summary="Save a draft")
def save_draft(request: ApiRequest, draft_id: Path[int], given: schemas.DraftChange) -> dict[str, Any]:
    """Stores what was typed. Where somebody wrote it since your `revision`, nothing is overwritten: 409 with `stored`
    and `yours`."""
    draft = _draft(request, draft_id)
    heading = draft.heading if given.heading is None else given.heading
    return draft_json(
        services.save_draft(request.actor, draft, revision=given.revision, content=given.content, heading=heading)
    )


@router.delete("/drafts/{draft_id}", response=answers(404, empty=None), summary="Discard a draft")
def discard_draft(request: ApiRequest, draft_id: Path[int]) -> Status[None]:
    services.discard_draft(request.actor, _draft(request, draft_id))
    return Status(204, None)


@router.post(
    "/drafts/{draft_id}/commit",
    response=answers(404, 409, ok=schemas.Version, created=schemas.Version),
    summary="Save a draft as a version",
)
def commit_draft(
    request: ApiRequest, draft_id: Path[int], given: schemas.DraftCommit, response: HttpResponse
) -> Status[Any]:
    """Makes a version (of a new prompt, where the draft belongs to none) and ends the draft. Where nothing changed, 200
    with the version that stands; where a newer version was saved since, 409: see rebase."""
    draft = _draft(request, draft_id)
    version, created = services.commit_draft(request.actor, draft, revision=given.revision, message=given.message)
    response["Location"] = f"/api/v1/prompts/{version.prompt.slug}/versions/{version.number}"
    return Status(201 if created else 200, version_json(version, labels=[]))


@router.post(
    "/drafts/{draft_id}/rebase", response=answers(404, 409, ok=schemas.Draft), summary="Follow a newer version"
)
def rebase_draft(request: ApiRequest, draft_id: Path[int], given: schemas.DraftRebase) -> dict[str, Any]:
    """Says that you have seen a newer version: the draft, its text unchanged, follows it from now on."""
    draft = _draft(request, draft_id)
    if draft.prompt is None:
        raise NotFound(_("This draft belongs to no prompt yet."))
    onto = selectors.get_version(draft.prompt, number=given.version)
    return draft_json(services.rebase_draft(request.actor, draft, onto=onto, revision=given.revision))


def draft_json(draft: Draft) -> dict[str, Any]:
    return {
        "id": draft.pk,
        "prompt": draft.prompt.slug if draft.prompt else None,
        "base_version": draft.base_version.number if draft.base_version else None,
        "branch": draft.branch,
        "revision": draft.revision,
        "content": draft.content,
        "heading": draft.heading,
        "updated_at": draft.updated_at,
    }


def _draft(request: ApiRequest, draft_id: int) -> Draft:
    drafts = drafts_of(request.project, owner_id=_person_id(request))
    draft = drafts.filter(pk=draft_id).first() if 0 < draft_id < 2**63 else None
    if draft is None:
        raise NotFound(_("You have no draft %s.") % draft_id)
    return draft


def _person_id(request: ApiRequest) -> int:
    require(request.actor, request.project, Permission.WRITE)
    if request.actor.user_id is None:
        raise Forbidden(_("A draft belongs to a person; this token was made without one."))
    return request.actor.user_id
