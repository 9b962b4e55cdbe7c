"""REST: change requests, from the proposal to the merge."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Path, Query, Router, Status

from promptops.accounts.bearer import ApiRequest
from promptops.accounts.models import Project, User
from promptops.accounts.policies import Permission, require
from promptops.accounts.querysets import members_of
from promptops.core.errors import Invalid
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, answers, listing
from promptops.prompts.models import LabelMove
from promptops.prompts.selectors import find_prompt, get_version
from promptops.reviews import schemas, selectors, services
from promptops.reviews.models import ChangeRequest
from promptops.reviews.representation import change_detail_json, change_json

router = Router(tags=["Change requests"])


@router.get("/changes", response=answers(404, ok=Listing[schemas.Change]), summary="List change requests")
def list_changes(request: ApiRequest, filters: Query[schemas.ChangeFilters]) -> dict[str, Any]:
    """The change requests of the project, the last touched first."""
    changes = selectors.search_changes(
        request.project,
        prompt=find_prompt(request.project, filters.prompt) if filters.prompt else None,
        label=filters.label,
        states=filters.state,
        author_id=filters.author,
        reviewer_id=filters.reviewer,
    ).prefetch_related("reviewers")
    page = page_of(changes, order=("-updated_at", "-id"), cursor=filters.cursor, limit=filters.limit)
    return listing(page, change_json)


@router.post("/changes", response=answers(404, 409, created=schemas.ChangeDetail), summary="Propose a version")
def propose_change(request: ApiRequest, given: schemas.ChangeGiven, response: HttpResponse) -> Status[Any]:
    """Proposes that a version shall stand under a label. The token's maker is its author."""
    require(request.actor, request.project, Permission.WRITE)
    prompt = find_prompt(request.project, given.prompt)
    change = services.propose(
        request.actor,
        prompt,
        version=get_version(prompt, number=given.version),
        label=given.label,
        title=given.title,
        description=given.description,
        reviewers=people_of(request.project, given.reviewers, "reviewers"),
        draft=given.draft,
    )
    response["Location"] = f"/api/v1/changes/{change.number}"
    return Status(201, change_detail_json(change))


@router.get("/changes/{number}", response=answers(404, ok=schemas.ChangeDetail), summary="Read a change request")
def read_change(request: ApiRequest, number: Path[int]) -> dict[str, Any]:
    """A change request, and where it stands at this moment: verdicts, checks, and what is in the way of a merge."""
    return change_detail_json(_change(request, number))


@router.patch("/changes/{number}", response=answers(404, 409, ok=schemas.ChangeDetail), summary="Edit a change request")
def edit_change(request: ApiRequest, number: Path[int], given: schemas.ChangeChange) -> dict[str, Any]:
    """Changes title, description or reviewers; `state: open` opens a draft for review, or a closed request again."""
    change = _change(request, number)
    reviewers = None if given.reviewers is None else people_of(request.project, given.reviewers, "reviewers")
    with transaction.atomic():  # where one of the two is refused, so is the other
        if given.state == "open":
            opening = services.request_review if change.state == ChangeRequest.State.DRAFT else services.reopen
            change = opening(request.actor, change)
        if given.state is None or (given.title, given.description, reviewers) != (None, None, None):
            change = services.edit_request(
                request.actor, change, title=given.title, description=given.description, reviewers=reviewers
            )
    return change_detail_json(change)


@router.put(
    "/changes/{number}/candidate", response=answers(404, 409, ok=schemas.ChangeDetail), summary="Amend the candidate"
)
def replace_candidate(request: ApiRequest, number: Path[int], given: schemas.CandidateGiven) -> dict[str, Any]:
    """Proposes another version instead. What was said of the former one counts no more."""
    change = _change(request, number)
    version = get_version(change.prompt, number=given.version)
    return change_detail_json(services.replace_candidate(request.actor, change, version=version))


@router.post("/changes/{number}/verdicts", response=answers(404, 409, created=schemas.ChangeDetail), summary="Review")
def give_verdict(request: ApiRequest, number: Path[int], given: schemas.VerdictGiven) -> Status[Any]:
    """Requests changes, as the person who made the token. An approval is a person's, in the browser: 403."""
    change = _change(request, number)
    if given.verdict == "approve":
        services.approve(request.actor, change, body=given.body, expected=given.expected)
    else:
        services.request_changes(request.actor, change, body=given.body, expected=given.expected)
    return Status(201, change_detail_json(_change(request, number)))


@router.post("/changes/{number}/merge", response=answers(404, 409, ok=schemas.Merged), summary="Merge")
def merge_change(request: ApiRequest, number: Path[int]) -> dict[str, Any]:
    """Points the label at the candidate, where nothing is in the way; else 409 with `blockers`."""
    change = _change(request, number)
    return _moved(request, change, services.merge(request.actor, change))


@router.post(
    "/changes/{number}/rebase", response=answers(404, 409, ok=schemas.ChangeDetail), summary="Rebase on what is live"
)
def rebase_change(request: ApiRequest, number: Path[int], given: schemas.RebaseGiven) -> dict[str, Any]:
    """Merges the change with what stands under the label now, message by message; it needs new approvals.

    Where both changed the same it is 409 `merge_conflicts`, with `conflicts` and a `content` to go on from.
    """
    return change_detail_json(services.rebase(request.actor, _change(request, number), resolved=given.content))


@router.post("/changes/{number}/withdraw", response=answers(404, 409, ok=schemas.ChangeDetail), summary="Withdraw")
def withdraw_change(request: ApiRequest, number: Path[int], given: schemas.ReasonGiven) -> dict[str, Any]:
    """Takes the proposal back: its author, or an admin."""
    return change_detail_json(services.withdraw(request.actor, _change(request, number), reason=given.reason))


@router.post("/changes/{number}/reject", response=answers(404, 409, ok=schemas.ChangeDetail), summary="Reject")
def reject_change(request: ApiRequest, number: Path[int], given: schemas.ReasonGiven) -> dict[str, Any]:
    """Closes it without a merge; the reason is needed."""
    return change_detail_json(services.reject(request.actor, _change(request, number), reason=given.reason))


@router.post("/changes/{number}/break-glass", response=answers(404, 409, ok=schemas.Merged), summary="Break the glass")
def break_glass(request: ApiRequest, number: Path[int], given: schemas.ReasonGiven) -> dict[str, Any]:
    """Merging without approval is the project owner's, in person, in the browser. No token may: 403."""
    change = _change(request, number)
    return _moved(request, change, services.break_glass(request.actor, change, reason=given.reason))


def people_of(project: Project, ids: list[int], field: str) -> list[User]:
    """Return the members with these ids. Raises Invalid where one is none."""
    wanted = {pk for pk in ids if 0 < pk < 2**63}
    found = [one.user for one in members_of(project).filter(user__in=wanted)]
    if len(found) != len(set(ids)):
        text = _("Give ids of members of the project.")
        raise Invalid(text, errors={field: [text]})
    return found


def _moved(request: ApiRequest, change: ChangeRequest, move: LabelMove) -> dict[str, Any]:
    return {
        "label": change.label,
        "version": move.to_version.number if move.to_version else None,
        "change": change_json(_change(request, change.number)),
    }


def _change(request: ApiRequest, number: int) -> ChangeRequest:
    return selectors.get_change(request.project, number)
