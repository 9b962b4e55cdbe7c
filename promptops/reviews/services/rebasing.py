"""Bringing an outdated change request up to date: what stands now and what was proposed, merged per message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from promptops import templating
from promptops.accounts.actors import Actor
from promptops.accounts.policies import Permission, require
from promptops.core.errors import Conflict
from promptops.prompts.content import content_of, content_sha256
from promptops.prompts.models import PromptVersion
from promptops.prompts.services import create_version
from promptops.prompts.services.versions import locked_prompt
from promptops.reviews.models import ChangeRequest
from promptops.reviews.services.changes import put_candidate
from promptops.reviews.services.standing import State, live_version, locked_change, person_of


class MergeConflicts(Conflict):
    """Both sides changed the same. ``extra`` has ``conflicts`` ({path, base, ours, theirs} each) and ``content``: the
    merged content with our side at each conflict, for somebody to go on from."""

    default_code = "merge_conflicts"


def preview_rebase(change: ChangeRequest) -> templating.Merge:
    """Return what a rebase would propose, and its conflicts. Writes nothing."""
    theirs = live_version(change.prompt, change.label)
    if theirs is None:
        return templating.Merge(change.candidate.content, [])
    base = change.replaces or _common_ancestor(change.candidate, theirs)
    return templating.merge(base.content if base else None, change.candidate.content, theirs.content)


@transaction.atomic
def rebase(actor: Actor, change: ChangeRequest, *, resolved: Mapping[str, Any] | None = None) -> ChangeRequest:
    """Propose the change on top of what stands under the label now. Everybody looks again.

    Args:
        resolved: the whole content that shall be proposed, where somebody settled the conflicts.

    Raises:
        MergeConflicts: both sides changed the same, and ``resolved`` was not given.
        Conflict: the label has not moved (``up_to_date``); what stands there says all of it (``nothing_left``: withdraw
            it); it is closed; or it is archived.
    """
    require(actor, change.project, Permission.WRITE)
    person_of(actor)
    prompt = locked_prompt(change.prompt)
    change = locked_change(change, *ChangeRequest.UNDECIDED)
    theirs = live_version(change.prompt, change.label)
    if theirs == change.replaces and change.state != State.OUTDATED:
        raise Conflict(
            _("“%s” stands where it stood: there is nothing to rebase on.") % change.label, code="up_to_date"
        )
    content = _merged(change, resolved)
    digest = content_sha256(content)
    if theirs is not None and theirs.content_sha256 == digest:
        raise Conflict(
            _("What stands under “%s” says all of this already. Withdraw this change request.") % change.label,
            code="nothing_left",
        )
    candidate = change.candidate
    if candidate.content_sha256 != digest:
        candidate, _created = create_version(
            actor,
            prompt,
            content,
            message=_("#%(number)d on top of version %(version)d")
            % {"number": change.number, "version": theirs.number if theirs else 0},
            parent=theirs,
            merge_parent=change.candidate,
        )
    if change.state != State.DRAFT:
        change.state = State.OPEN
    return put_candidate(actor, change, candidate, theirs, "rebased")


def _merged(change: ChangeRequest, resolved: Mapping[str, Any] | None) -> dict[str, Any]:
    if resolved is not None:
        return content_of({"kind": change.prompt.kind, **resolved})
    merge = preview_rebase(change)
    if not merge.is_clean:
        raise MergeConflicts(
            _("Both this change and what stands now changed the same. Settle what is marked."),
            conflicts=[one.as_json() for one in merge.conflicts],
            content=merge.content,
        )
    return content_of(merge.content)


def _common_ancestor(one: PromptVersion, other: PromptVersion) -> PromptVersion | None:
    """The newest version that both came from, by their first parents."""
    seen = {version.pk for version in _line(other)}
    return next((version for version in _line(one) if version.pk in seen), None)


def _line(version: PromptVersion | None) -> list[PromptVersion]:
    parents = (
        dict(PromptVersion.objects.filter(prompt=version.prompt_id).values_list("pk", "parent")) if version else {}
    )
    line = []
    at = version.pk if version else None
    while at is not None:
        line.append(at)
        at = parents[at]
    found = PromptVersion.objects.select_related("spec").in_bulk(line)
    return [found[pk] for pk in line]
