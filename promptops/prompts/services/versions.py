"""Saving versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission, require
from promptops.audit import services as audit
from promptops.core.errors import Conflict, Invalid
from promptops.prompts.content import content_of, content_sha256, searchable_text
from promptops.prompts.models import Prompt, PromptSpec, PromptVersion
from promptops.prompts.services.dependencies import composed_to_save, store_dependencies
from promptops.prompts.telling import tell_of_version

MAX_MESSAGE = 2000
MAX_SEARCH_TEXT = 50_000


def store_spec(project: Project, content: Mapping[str, Any]) -> PromptSpec:
    """Return the stored spec with this canonical content, storing it when it is new."""
    spec, _created = PromptSpec.objects.get_or_create(
        project=project, sha256=content_sha256(content), defaults={"content": dict(content)}
    )
    return spec


@transaction.atomic
def create_version(
    actor: Actor,
    prompt: Prompt,
    given: Mapping[str, Any],
    *,
    message: str = "",
    expected_head: int | None = None,
    parent: PromptVersion | None = None,
    merge_parent: PromptVersion | None = None,
) -> tuple[PromptVersion, bool]:
    """Save a version. Returns it, and False where the content equals its parent's: then nothing is saved.

    Args:
        given: the fields of a spec; ``kind`` must be the prompt's.
        message: why, for the history.
        expected_head: the newest version number that the writer knew; when somebody saved a newer one since, nothing
            is saved. None skips the check.
        parent: the version it follows; the newest one by default.

    Raises:
        Invalid: the content or the message is malformed, or an include cannot be put in (code ``include``).
        Conflict: ``expected_head`` is not the newest version any more (code ``stale_version``), or it is archived.
    """
    require(actor, prompt.project, Permission.WRITE)
    content = content_of({"kind": prompt.kind, **given})
    if content["kind"] != prompt.kind:
        text = _("This is a %(kind)s prompt, and stays one.") % {"kind": prompt.kind}
        raise Invalid(text, errors={"kind": [text]})
    message = clean_note(message, "message", MAX_MESSAGE)
    # The row lock gives numbers without gaps to writers who save at the same time.
    prompt = locked_prompt(prompt)
    if expected_head is not None and expected_head != prompt.last_number:
        raise Conflict(
            _("Version %(new)d was saved meanwhile; you began from version %(old)d. Compare them, then save again.")
            % {"new": prompt.last_number, "old": expected_head},
            code="stale_version",
            newest=prompt.last_number,
        )
    if parent is None:
        parent = prompt.versions.select_related("spec").filter(number=prompt.last_number).first()
    digest = content_sha256(content)
    if parent is not None and parent.content_sha256 == digest:
        return parent, False
    composition = composed_to_save(prompt, content)
    version = PromptVersion.objects.create(
        prompt=prompt,
        number=prompt.last_number + 1,
        parent=parent,
        merge_parent=merge_parent,
        spec=store_spec(prompt.project, content),
        content_sha256=digest,
        closure_sha256=composition.closure_sha256,
        message=message,
        author_kind=actor.kind,
        author=actor.user,
        author_name=actor.name,
    )
    store_dependencies(version, composition)
    prompt.last_number = version.number
    prompt.updated_at = timezone.now()
    prompt.search_text = search_text_of(prompt, content)
    prompt.save(update_fields=["last_number", "updated_at", "search_text"])
    audit.record(
        actor,
        "version.created",
        project_id=prompt.project_id,
        target_kind="prompt",
        target_id=prompt.pk,
        detail={"number": version.number, "sha256": digest},
    )
    tell_of_version(actor, version)
    return version, True


def search_text_of(prompt: Prompt, content: Mapping[str, Any]) -> str:
    """Return what a search of the list of prompts looks into."""
    parts = [prompt.slug, prompt.folder, prompt.description, " ".join(prompt.tags), searchable_text(content)]
    return "\n".join(part for part in parts if part)[:MAX_SEARCH_TEXT]


def locked_prompt(prompt: Prompt) -> Prompt:
    """Return the prompt as it stands now, its row locked until the transaction ends: its writes come one by one.

    The lock is the weakest that does this. What merely refers to the prompt or its project (a run, say) goes on.

    Raises:
        Conflict: the prompt is archived.
    """
    rows = Prompt.objects.select_for_update(of=("self",), no_key=True).select_related("project")
    locked = rows.get(pk=prompt.pk)
    if locked.archived_at is not None:
        raise Conflict(_("This prompt is archived. Restore it first."), code="archived")
    return locked


def clean_note(text: str, name: str, limit: int) -> str:
    """Return what somebody wrote for the history, stripped. Raises Invalid with ``errors`` for the field ``name``."""
    if len(text) > limit:
        problem = _("At most %d characters.") % limit
        raise Invalid(problem, errors={name: [problem]})
    if "\x00" in text:
        problem = _("The text has a NUL character, which cannot be stored. Please remove it.")
        raise Invalid(problem, errors={name: [problem]})
    return text.strip()
