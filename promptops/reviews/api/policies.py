"""REST: what protects labels, and who answers for a folder."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from ninja import Query, Router, Status

from promptops.accounts.bearer import ApiRequest
from promptops.accounts.policies import Permission, require
from promptops.core.errors import NotFound
from promptops.core.rest import answers
from promptops.prompts.selectors import find_prompt
from promptops.reviews import schemas, selectors, services
from promptops.reviews.api.changes import people_of
from promptops.reviews.representation import owners_json, policy_json

router = Router(tags=["Review policies"])


@router.get("/label-policies", response=answers(ok=list[schemas.Policy]), summary="List label policies")
def list_label_policies(request: ApiRequest) -> list[dict[str, Any]]:
    """The policies in force. A prompt's own counts, else its longest folder's, else the project's."""
    return [policy_json(one) for one in selectors.policies_in_force(request.project)]


@router.put("/label-policies", response=answers(404, ok=schemas.Policy), summary="Set a label policy")
def set_label_policy(request: ApiRequest, given: schemas.PolicyGiven) -> dict[str, Any]:
    """Says what moving a label needs, from now on. What is left out has its default, not what was set before."""
    require(request.actor, request.project, Permission.ADMIN)
    prompt = find_prompt(request.project, given.prompt) if given.prompt else None
    policy = services.set_label_policy(
        request.actor,
        request.project,
        given.label,
        folder=given.folder,
        prompt=prompt,
        protected=given.protected,
        required_approvals=given.required_approvals,
        owners_required=given.owners_required,
        checks=given.checks,
        hold_seconds=given.hold_seconds,
    )
    return policy_json(policy)


@router.delete("/label-policies", response=answers(404, empty=None), summary="Remove a label policy")
def remove_label_policy(request: ApiRequest, place: Query[schemas.PolicyPlace]) -> Status[None]:
    """Takes back the policy of exactly that place: a wider one counts again, or none."""
    require(request.actor, request.project, Permission.ADMIN)
    prompt = find_prompt(request.project, place.prompt) if place.prompt else None
    policy = selectors.policy_at(request.project, place.label, place.folder, prompt)
    if policy is None:
        raise NotFound(_("No policy is in force there."))
    services.remove_label_policy(request.actor, policy)
    return Status(204, None)


@router.get("/code-owners", response=answers(ok=list[schemas.Owners]), summary="List code owners")
def list_code_owners(request: ApiRequest) -> list[dict[str, Any]]:
    """Who answers for which folder; the longest folder around a prompt counts."""
    return owners_json(selectors.code_owners(request.project))


@router.put("/code-owners", response=answers(ok=schemas.Owners), summary="Set the owners of a folder")
def set_code_owners(request: ApiRequest, given: schemas.OwnersGiven) -> dict[str, Any]:
    """Says who answers for a folder; with no people, those of the folder around it answer again."""
    require(request.actor, request.project, Permission.ADMIN)
    people = people_of(request.project, given.people, "people")
    return owners_json([services.set_code_owners(request.actor, request.project, given.folder, people)])[0]
