"""REST: comments of change requests."""

from __future__ import annotations

from typing import Any

from ninja import Path, Query, Router, Status

from promptops.accounts.bearer import ApiRequest
from promptops.accounts.policies import Permission, require
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, Paging, answers
from promptops.reviews import schemas, selectors, services
from promptops.reviews.querysets import comments_of
from promptops.reviews.representation import change_detail_json, comment_json

router = Router(tags=["Change requests"])


@router.get("/changes/{number}/comments", response=answers(404, ok=Listing[schemas.Comment]), summary="List comments")
def list_comments(request: ApiRequest, number: Path[int], paging: Query[Paging]) -> dict[str, Any]:
    """Every comment, oldest first."""
    change = selectors.get_change(request.project, number)
    page = page_of(comments_of(change), order=("id",), cursor=paging.cursor, limit=paging.limit)
    return {"items": [comment_json(one, change) for one in page.items], "next": page.next}


@router.post("/changes/{number}/comments", response=answers(404, created=schemas.Comment), summary="Comment")
def create_comment(request: ApiRequest, number: Path[int], given: schemas.CommentGiven) -> Status[Any]:
    """Remarks on a line, a message or the whole; suggests a text for a line; or replies."""
    change = selectors.get_change(request.project, number)
    require(request.actor, request.project, Permission.WRITE)
    made = services.comment(
        request.actor,
        change,
        body=given.body,
        message_index=given.message_index,
        line=given.line,
        side=given.side,
        suggestion=given.suggestion,
        reply_to=None if given.reply_to is None else selectors.get_comment(change, given.reply_to),
    )
    return Status(201, comment_json(made, change))


@router.post(
    "/changes/{number}/comments/{comment_id}/resolve",
    response=answers(404, ok=schemas.Comment),
    summary="Resolve a thread",
)
def resolve_comment(request: ApiRequest, number: Path[int], comment_id: Path[int]) -> dict[str, Any]:
    """Says that the comment's thread is settled; answers with the first comment of it."""
    change = selectors.get_change(request.project, number)
    first = services.resolve_thread(request.actor, selectors.get_comment(change, comment_id))
    return comment_json(selectors.get_comment(change, first.pk), change)


@router.post(
    "/changes/{number}/comments/{comment_id}/apply",
    response=answers(404, 409, ok=schemas.ChangeDetail),
    summary="Apply a suggestion",
)
def apply_suggestion(request: ApiRequest, number: Path[int], comment_id: Path[int]) -> dict[str, Any]:
    """Puts the suggested text in place of its line: a new version, the new candidate."""
    change = selectors.get_change(request.project, number)
    services.apply_suggestion(request.actor, selectors.get_comment(change, comment_id))
    return change_detail_json(selectors.get_change(request.project, number))
