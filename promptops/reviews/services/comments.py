"""Remarks on lines, their threads, and suggestions that apply with a click."""

from __future__ import annotations

import copy
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.policies import Permission, require
from promptops.core.errors import Conflict, Invalid
from promptops.prompts.models import PromptVersion
from promptops.prompts.services import create_version
from promptops.prompts.services.versions import clean_note, locked_prompt
from promptops.reviews.models import ChangeRequest, ReviewComment
from promptops.reviews.services.changes import MAX_TEXT, put_candidate
from promptops.reviews.services.standing import locked_change, person_of, settle
from promptops.reviews.telling import tell_of_comment


@transaction.atomic
def comment(
    actor: Actor,
    change: ChangeRequest,
    *,
    body: str,
    message_index: int | None = None,
    line: int | None = None,
    side: str = "new",
    suggestion: str | None = None,
    reply_to: ReviewComment | None = None,
) -> ReviewComment:
    """Remark on a line of a message, on a message, or on the whole; or reply to a remark (its place is the thread's).

    Args:
        message_index: from 0, in the candidate (``side`` new) or in what it replaces (old).
        line: from 1, in the text of that message.
        suggestion: text that shall stand in place of the line (may have several lines, or none); only on the new side.

    Raises:
        Invalid: no text, a place that is not there, or a suggestion without a line.
    """
    require(actor, change.project, Permission.WRITE)
    body = clean_note(body, "body", MAX_TEXT)
    if not body and suggestion is None:
        raise _invalid("body", _("Write something."))
    change = locked_change(change)
    if reply_to is not None:
        if reply_to.change_id != change.pk:
            raise _invalid("reply_to", _("That comment is on another change request."))
        first = reply_to.thread or reply_to
        version, message_index, line, side = first.version, first.message_index, first.line, first.side
    else:
        first = None
        version = _commented(change, message_index, line, side)
    if suggestion is not None:
        if first is not None or line is None or side != ReviewComment.Side.NEW:
            raise _invalid("suggestion", _("A suggestion stands on a line of the new text."))
        clean_note(suggestion, "suggestion", MAX_TEXT)
    made = ReviewComment.objects.create(
        change=change,
        thread=first,
        version=version,
        message_index=message_index,
        line=line,
        side=side,
        body=body,
        suggestion=suggestion,
        author_kind=actor.kind,
        author=actor.user,
        author_name=actor.name,
    )
    tell_of_comment(actor, made, change)
    if change.is_undecided:
        settle(change)  # says that something happened
    return made


@transaction.atomic
def resolve_thread(actor: Actor, comment: ReviewComment) -> ReviewComment:
    """Say that a thread is settled. Again harmless."""
    first = _first_locked(actor, comment)
    if first.resolved_at is None:
        first.resolved_at, first.resolved_by, first.resolved_by_name = timezone.now(), actor.user, actor.name
        first.save(update_fields=["resolved_at", "resolved_by", "resolved_by_name"])
    return first


@transaction.atomic
def unresolve_thread(actor: Actor, comment: ReviewComment) -> ReviewComment:
    """Take a thread up again."""
    first = _first_locked(actor, comment)
    first.resolved_at, first.resolved_by, first.resolved_by_name = None, None, ""
    first.save(update_fields=["resolved_at", "resolved_by", "resolved_by_name"])
    return first


@transaction.atomic
def apply_suggestion(actor: Actor, comment: ReviewComment) -> PromptVersion:
    """Put a suggestion in place of its line: makes a version of the actor's, the new candidate. Resolves the thread.

    Raises:
        Invalid: the comment has no suggestion.
        Conflict: the candidate changed since (``stale_suggestion``), it was applied, or the request is closed.
    """
    require(actor, comment.change.project, Permission.WRITE)
    person_of(actor)
    locked_prompt(comment.change.prompt)
    change = locked_change(comment.change, *ChangeRequest.UNDECIDED)
    comment = ReviewComment.objects.select_for_update(of=("self",)).get(pk=comment.pk)
    if comment.suggestion is None or comment.line is None or comment.message_index is None:
        raise Invalid(_("This comment suggests no text."))
    if comment.applied_in_id is not None or comment.version_id != change.candidate_id:
        raise Conflict(
            _("The text was changed since this was suggested. Look at the line as it is now."), code="stale_suggestion"
        )
    content = copy.deepcopy(change.candidate.content)
    message = content["messages"][comment.message_index]
    message["content"] = _with_line(message["content"], comment.line, comment.suggestion)
    version, created = create_version(
        actor,
        change.prompt,
        content,
        message=_("Suggestion of %(name)s in #%(number)d") % {"name": comment.author_name, "number": change.number},
        parent=change.candidate,
    )
    if not created:
        raise Conflict(_("The line says this already."), code="stale_suggestion")
    comment.applied_in = version
    comment.resolved_at, comment.resolved_by, comment.resolved_by_name = timezone.now(), actor.user, actor.name
    comment.save(update_fields=["applied_in", "resolved_at", "resolved_by", "resolved_by_name"])
    put_candidate(actor, change, version, change.replaces, "amended")
    return version


def _commented(change: ChangeRequest, message_index: int | None, line: int | None, side: str) -> PromptVersion:
    """Return the version that a remark is on. Raises Invalid where it has no such place."""
    if side not in ReviewComment.Side.values:
        raise _invalid("side", _("Choose old or new."))
    version = change.candidate if side == ReviewComment.Side.NEW else change.replaces
    if message_index is None:
        if line is not None:
            raise _invalid("line", _("A line is of a message: name the message."))
        return change.candidate
    messages = version.content["messages"] if version is not None else []
    if version is None or not 0 <= message_index < len(messages):
        raise _invalid("message_index", _("There is no such message on this side."))
    text = messages[message_index].get("content")
    lines = text.count("\n") + 1 if isinstance(text, str) else 0
    if line is not None and not 1 <= line <= lines:
        raise _invalid("line", _("The message has %d lines.") % lines)
    return version


def _with_line(text: Any, line: int, suggestion: str) -> str:
    lines = str(text).split("\n")
    lines[line - 1 : line] = suggestion.split("\n") if suggestion else []
    return "\n".join(lines)


def _first_locked(actor: Actor, comment: ReviewComment) -> ReviewComment:
    require(actor, comment.change.project, Permission.WRITE)
    rows = ReviewComment.objects.select_for_update(of=("self",)).select_related("change")
    return rows.get(pk=comment.thread_id or comment.pk)


def _invalid(field: str, text: str) -> Invalid:
    return Invalid(text, errors={field: [text]})
