"""Creating, renaming, filing and archiving prompts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission, require
from promptops.audit import services as audit
from promptops.core.database import broken_rule
from promptops.core.errors import Conflict, Invalid
from promptops.prompts.content import content_of
from promptops.prompts.models import Prompt, PromptSlug, PromptVersion
from promptops.prompts.services.dependencies import refuse_to_break
from promptops.prompts.services.versions import create_version, locked_prompt, search_text_of
from promptops.prompts.telling import tell_of_prompt

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,98}[a-z0-9])?")
FOLDER_PART = re.compile(r"[^/\x00-\x1f\x7f-\x9f\u2028\u2029]{1,60}")
TAG = re.compile(r"[^,，\x00-\x1f\x7f-\x9f\u2028\u2029]{1,50}")
# Paths that stand where a slug could: /p/<project>/prompts/new/ and its neighbours.
RESERVED_SLUGS = {"csv", "home-panel", "includable", "new", "search"}
FOLDER_PROTECTED = "folder_protected"  # our code, and the name of the rule in the database
MAX_TAGS = 20
MAX_TAG = 50
MAX_FOLDER = 200
MAX_DESCRIPTION = 4000


@transaction.atomic
def create_prompt(
    actor: Actor,
    project: Project,
    given: Mapping[str, Any],
    *,
    slug: str,
    folder: str = "",
    description: str = "",
    tags: Sequence[str] = (),
    message: str = "",
) -> PromptVersion:
    """Create a prompt with its version 1, and return that version.

    Raises:
        Invalid: slug, heading or content is malformed (``errors`` by field).
        Conflict: the slug is or was another prompt's.
    """
    require(actor, project, Permission.WRITE)
    heading = clean_heading(slug=slug, folder=folder, description=description, tags=tags)
    content = content_of(given)
    _refuse_taken_slug(project, heading["slug"])
    prompt = Prompt(project=project, kind=content["kind"], created_by=actor.user, **heading)
    try:
        with transaction.atomic():
            prompt.save()
    except IntegrityError:
        raise _taken(heading["slug"]) from None
    audit.record(actor, "prompt.created", project_id=project.pk, target_kind="prompt", target_id=prompt.pk)
    tell_of_prompt(actor, prompt, "prompt.created")
    version, _created = create_version(actor, prompt, content, message=message)
    return version


@transaction.atomic
def update_prompt(
    actor: Actor,
    prompt: Prompt,
    *,
    slug: str | None = None,
    folder: str | None = None,
    description: str | None = None,
    tags: Sequence[str] | None = None,
) -> Prompt:
    """Rename or file a prompt (None leaves a field). The old slug redirects to the new one from then on.

    Raises:
        Invalid: the heading is malformed (``errors`` by field).
        Conflict: the slug is or was another prompt's, or the prompt is archived.
    """
    require(actor, prompt.project, Permission.WRITE)
    prompt = locked_prompt(prompt)
    heading = clean_heading(
        slug=prompt.slug if slug is None else slug,
        folder=prompt.folder if folder is None else folder,
        description=prompt.description if description is None else description,
        tags=prompt.tags if tags is None else tags,
    )
    changed = sorted(name for name, value in heading.items() if getattr(prompt, name) != value)
    if not changed:
        return prompt
    if heading["slug"] != prompt.slug:
        _refuse_taken_slug(prompt.project, heading["slug"], prompt)
        PromptSlug.objects.filter(project=prompt.project, slug=heading["slug"]).delete()
        PromptSlug.objects.create(project=prompt.project, slug=prompt.slug, prompt=prompt)
    for name, value in heading.items():
        setattr(prompt, name, value)
    prompt.updated_at = timezone.now()
    head = prompt.versions.select_related("spec").get(number=prompt.last_number)
    prompt.search_text = search_text_of(prompt, head.content)
    try:
        with transaction.atomic():
            prompt.save(update_fields=[*heading, "updated_at", "search_text"])
    except IntegrityError as error:
        if broken_rule(error) != FOLDER_PROTECTED:
            raise _taken(heading["slug"]) from None
        text = _(
            "A label of this prompt is protected by the rules of its folder, and other rules hold in “%s”. An admin "
            "can first give this prompt a review policy of its own."
        )
        text %= heading["folder"] or _("no folder")
        raise Conflict(text, code=FOLDER_PROTECTED, errors={"folder": [text]}) from None
    audit.record(
        actor,
        "prompt.updated",
        project_id=prompt.project_id,
        target_kind="prompt",
        target_id=prompt.pk,
        detail={"fields": changed},
    )
    return prompt


@transaction.atomic
def archive_prompt(actor: Actor, prompt: Prompt) -> Prompt:
    """Take a prompt out of lists and out of ``resolve``. Nothing is deleted; ``restore_prompt`` undoes it.

    Raises:
        Conflict: something live includes it (code ``include_broken``).
    """
    require(actor, prompt.project, Permission.WRITE)
    if Prompt.objects.filter(pk=prompt.pk, archived_at=None).update(archived_at=timezone.now()):
        refuse_to_break(prompt)
        audit.record(actor, "prompt.archived", project_id=prompt.project_id, target_kind="prompt", target_id=prompt.pk)
        tell_of_prompt(actor, prompt, "prompt.archived")
    prompt.refresh_from_db()
    return prompt


@transaction.atomic
def restore_prompt(actor: Actor, prompt: Prompt) -> Prompt:
    """Undo ``archive_prompt``."""
    require(actor, prompt.project, Permission.WRITE)
    if Prompt.objects.filter(pk=prompt.pk, archived_at__isnull=False).update(archived_at=None):
        audit.record(actor, "prompt.restored", project_id=prompt.project_id, target_kind="prompt", target_id=prompt.pk)
        tell_of_prompt(actor, prompt, "prompt.restored")
    prompt.refresh_from_db()
    return prompt


def clean_heading(*, slug: str, folder: str, description: str, tags: Sequence[str]) -> dict[str, Any]:
    """Return the cleaned heading of a prompt. Raises Invalid with ``errors`` by field."""
    errors: dict[str, list[str]] = {}
    slug = slug.strip()
    if not SLUG.fullmatch(slug) or slug in RESERVED_SLUGS:
        errors["slug"] = [
            _("Use lower-case letters, digits, hyphens and underscores, at most 100, such as “support-reply”.")
        ]
    # The same name is the same text, however the keyboard composed its accents.
    folder = unicodedata.normalize("NFC", folder)
    parts = [part.strip() for part in folder.split("/") if part.strip()]
    folder = "/".join(parts)
    if len(folder) > MAX_FOLDER or not all(FOLDER_PART.fullmatch(part) for part in parts):
        errors["folder"] = [_("Use names between slashes, such as “support/email”, at most 200 characters.")]
    if len(description) > MAX_DESCRIPTION or "\x00" in description:
        errors["description"] = [_("At most %d characters of text.") % MAX_DESCRIPTION]
    clean_tags = list(dict.fromkeys(unicodedata.normalize("NFC", tag.strip()) for tag in tags if tag.strip()))
    if len(clean_tags) > MAX_TAGS or not all(TAG.fullmatch(tag) for tag in clean_tags):
        errors["tags"] = [
            _("At most %(tags)d tags of %(length)d characters, without commas.") % {"tags": MAX_TAGS, "length": MAX_TAG}
        ]
    if errors:
        raise Invalid(_("The prompt was not saved: please correct what is marked."), errors=errors)
    return {"slug": slug, "folder": folder, "description": description.strip(), "tags": clean_tags}


def _refuse_taken_slug(project: Project, slug: str, prompt: Prompt | None = None) -> None:
    """A former slug stays taken by the prompt that it redirects to; that prompt itself may take it back."""
    own = prompt.pk if prompt else 0
    if Prompt.objects.filter(project=project, slug=slug).exclude(pk=own).exists():
        raise _taken(slug)
    if PromptSlug.objects.filter(project=project, slug=slug).exclude(prompt_id=own).exists():
        raise _taken(slug)


def _taken(slug: str) -> Conflict:
    text = _("Another prompt has, or had, the slug “%s”. Choose a different one.") % slug
    return Conflict(text, code="slug_taken", errors={"slug": [text]})
