"""REST: labels, the act of releasing."""

from __future__ import annotations

from typing import Any

from ninja import P, Path, Query, QueryEx, Router, Status

from promptops.accounts.bearer import ApiRequest
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, Paging, answers, listing
from promptops.prompts import schemas, selectors, services
from promptops.prompts.models import Label, LabelMove
from promptops.prompts.querysets import labels_of, moves_of

router = Router(tags=["Labels"])


@router.get("/prompts/{slug}/labels", response=answers(308, 404, ok=list[schemas.Label]), summary="List labels")
def list_labels(request: ApiRequest, slug: Path[str]) -> list[dict[str, Any]]:
    """The labels that stand at a version, by name."""
    return [label_json(label) for label in labels_of(selectors.get_prompt(request.project, slug))]


@router.put("/prompts/{slug}/labels/{label}", response=answers(308, 404, 409, ok=schemas.Label), summary="Move a label")
def move_label(request: ApiRequest, slug: Path[str], label: Path[str], given: schemas.LabelMoveGiven) -> dict[str, Any]:
    """Points the label at a version; a label that does not exist yet is made. `resolve` serves it within a second."""
    prompt = selectors.get_prompt(request.project, slug)
    version = selectors.get_version(prompt, number=given.version)
    services.move_label(request.actor, prompt, label, version, reason=given.reason, expected=given.expected)
    return label_json(selectors.get_label(prompt, label))


@router.delete(
    "/prompts/{slug}/labels/{label}", response=answers(308, 404, 409, empty=None), summary="Take a label off"
)
def remove_label(
    request: ApiRequest,
    slug: Path[str],
    label: Path[str],
    reason: QueryEx[str, P(max_length=2000)] = "",
    expected: int | None = None,
) -> Status[None]:
    """`resolve` by it answers 404 from then on. Its history stays. `expected` as in moving."""
    prompt = selectors.get_prompt(request.project, slug)
    services.remove_label(request.actor, prompt, label, reason=reason, expected=expected)
    return Status(204, None)


@router.post(
    "/prompts/{slug}/labels/{label}/rollback", response=answers(308, 404, 409, ok=schemas.Label), summary="Roll back"
)
def rollback_label(
    request: ApiRequest, slug: Path[str], label: Path[str], given: schemas.RollbackGiven
) -> dict[str, Any]:
    """Points the label back at the version that stood under it before, or at another one that once did."""
    prompt = selectors.get_prompt(request.project, slug)
    version = selectors.get_version(prompt, number=given.version) if given.version is not None else None
    services.rollback_label(request.actor, prompt, label, version=version, reason=given.reason, expected=given.expected)
    return label_json(selectors.get_label(prompt, label))


@router.get(
    "/prompts/{slug}/labels/{label}/history",
    response=answers(308, 404, ok=Listing[schemas.LabelMove]),
    summary="Read a label's history",
)
def label_history(request: ApiRequest, slug: Path[str], label: Path[str], paging: Query[Paging]) -> dict[str, Any]:
    """Every move, newest first: what served when, who moved it, and why."""
    prompt = selectors.get_prompt(request.project, slug)
    selectors.get_label(prompt, label)
    moves = moves_of(prompt, label)
    return listing(page_of(moves, order=("-at", "-id"), cursor=paging.cursor, limit=paging.limit), move_json)


def label_json(label: Label) -> dict[str, Any]:
    return {
        "label": label.name,
        "version": label.version.number if label.version else None,
        "moved_at": label.moved_at,
    }


def move_json(move: LabelMove) -> dict[str, Any]:
    return {
        "at": move.at,
        "from_version": move.from_version.number if move.from_version else None,
        "to_version": move.to_version.number if move.to_version else None,
        "authority": move.authority,
        "reason": move.reason,
        "by": move.actor_name,
    }
