"""Prompts, their immutable versions, the labels that say what is live, and the drafts that people edit.

What a version *says* (messages, syntax, variables, parameters, schema) is a ``PromptSpec``: canonical JSON, stored once
under its SHA-256. A version adds who, when, why and where in the history. A run points at the spec, so that a run of an
unsaved draft is as traceable as a run of a version.
"""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from promptops.accounts.models import Project, User


class Prompt(models.Model):
    class Kind(models.TextChoices):
        CHAT = "chat", _("Chat")
        TEXT = "text", _("Text")

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="prompts")
    slug = models.SlugField(_("slug"), max_length=100)
    folder = models.CharField(_("folder"), max_length=200, blank=True, default="")
    description = models.TextField(_("description"), blank=True, default="")
    tags = ArrayField(models.CharField(max_length=50), default=list, blank=True, verbose_name=_("tags"))
    kind = models.CharField(_("kind"), max_length=4, choices=Kind)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now)
    archived_at = models.DateTimeField(_("archived"), null=True)
    last_number = models.PositiveIntegerField(_("newest version"), default=0)
    search_text = models.TextField(_("slug, folder, description, tags and newest text, for search"), default="")

    class Meta:
        verbose_name = _("prompt")
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="prompt_slug_unique")]
        indexes = [
            models.Index(fields=["project", "folder", "slug"], name="prompt_folder"),
            models.Index(fields=["project", "-updated_at", "-id"], name="prompt_newest"),
            GinIndex(OpClass(Upper("search_text"), name="gin_trgm_ops"), name="prompt_trigram"),
            GinIndex(SearchVector("search_text", config="simple"), name="prompt_fulltext"),
            GinIndex(fields=["tags"], name="prompt_tags"),
        ]

    def __str__(self) -> str:
        return self.slug


class PromptSlug(models.Model):
    """A slug that a prompt had: links and REST paths by it redirect to the present one."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    slug = models.SlugField(max_length=100)
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="old_slugs")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("old slug")
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="old_slug_unique")]

    def __str__(self) -> str:
        return self.slug


class PromptSpec(models.Model):
    """What a version or a draft's run means; never changes. ``content`` is the canonical form of ``templating``."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)
    content = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("prompt spec")
        constraints = [models.UniqueConstraint(fields=["project", "sha256"], name="spec_once")]

    def __str__(self) -> str:
        return self.sha256[:12]


class PromptVersion(models.Model):
    """An immutable version: the database refuses UPDATE and DELETE.

    ``closure_sha256`` is the hash of what it means together with all that it includes; approvals bind to it.
    """

    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    merge_parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+")
    spec = models.ForeignKey(PromptSpec, on_delete=models.PROTECT, related_name="versions")
    content_sha256 = models.CharField(max_length=64)
    closure_sha256 = models.CharField(max_length=64)
    branch = models.CharField(_("branch"), max_length=60, default="main")
    message = models.TextField(_("message"), blank=True, default="")
    author_kind = models.CharField(max_length=10)
    author = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    author_name = models.CharField(_("author"), max_length=120)
    created_at = models.DateTimeField(_("saved"), default=timezone.now)

    class Meta:
        verbose_name = _("version")
        constraints = [models.UniqueConstraint(fields=["prompt", "number"], name="version_number_unique")]

    def __str__(self) -> str:
        return f"v{self.number}"

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = self.spec.content
        return content


class PromptDependency(models.Model):
    """A prompt that a version itself includes: at a version (``included_version``), or wherever a label stands
    (``label``). Append-only, so that "what is affected if I edit this?" is one query.
    """

    version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, related_name="dependencies")
    order = models.PositiveSmallIntegerField()
    included = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="dependents")
    included_version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, null=True, related_name="+")
    label = models.CharField(max_length=60, blank=True, default="")

    class Meta:
        verbose_name = _("dependency")
        constraints = [
            models.UniqueConstraint(fields=["version", "order"], name="dependency_order_unique"),
            models.CheckConstraint(
                condition=Q(included_version__isnull=True) ^ Q(label=""), name="dependency_version_or_label"
            ),
        ]
        indexes = [models.Index(fields=["included", "label"], name="dependency_included")]

    def __str__(self) -> str:
        return f"{self.version_id} → {self.included_id}@{self.label or self.included_version_id}"


class VersionWriter(models.Model):
    """Somebody who wrote a revision of the draft that became a version, beside its author. Append-only.

    Whoever wrote any of it does not approve it.
    """

    version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, related_name="writers")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("writer")
        constraints = [models.UniqueConstraint(fields=["version", "user"], name="version_writer_once")]

    def __str__(self) -> str:
        return f"{self.version_id}: {self.user_id}"


class Label(models.Model):
    """A movable pointer at one version (``production``, ``staging``); ``version`` is null after it was taken off."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="labels")
    name = models.SlugField(_("label"), max_length=60)
    version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, null=True, related_name="labels")
    moved_at = models.DateTimeField(_("moved"), default=timezone.now)

    class Meta:
        verbose_name = _("label")
        constraints = [
            models.UniqueConstraint(fields=["prompt", "name"], name="label_once_a_prompt"),
            models.CheckConstraint(condition=~Q(name="latest"), name="label_latest_is_computed"),
        ]

    def __str__(self) -> str:
        return self.name


class LabelMove(models.Model):
    """One move of a label: the history that answers "what served at 14:03?". Append-only."""

    class Authority(models.TextChoices):
        DIRECT = "direct", _("moved")
        ROLLBACK = "rollback", _("rolled back")
        MERGE = "merge", _("merged")
        BREAK_GLASS = "break_glass", _("moved without approval")

    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="moves")
    from_version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, null=True, related_name="+")
    to_version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, null=True, related_name="+")
    closure_sha256 = models.CharField(max_length=64, blank=True, default="")
    authority = models.CharField(max_length=12, choices=Authority, default=Authority.DIRECT)
    reason = models.TextField(_("reason"), blank=True, default="")
    actor_kind = models.CharField(max_length=10)
    actor_user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(_("by"), max_length=120)
    at = models.DateTimeField(_("time"), default=timezone.now)

    class Meta:
        verbose_name = _("label move")
        indexes = [models.Index(fields=["label", "-at", "-id"], name="label_move_newest")]

    def __str__(self) -> str:
        return f"{self.label_id}: {self.from_version_id} → {self.to_version_id}"


class Draft(models.Model):
    """The one mutable thing: what somebody is editing. Every write names the ``revision`` that it edits."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="drafts")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, null=True, related_name="drafts")
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="drafts")
    collaborators = models.ManyToManyField(User, blank=True, related_name="+")
    base_version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, null=True, related_name="+")
    branch = models.CharField(_("branch"), max_length=60, default="main")
    revision = models.PositiveIntegerField(default=1)
    content = models.JSONField(_("spec as typed; may be incomplete"))
    heading = models.JSONField(_("slug, folder, description, tags of a new prompt"), default=dict)
    writers = ArrayField(models.BigIntegerField(), default=list, verbose_name=_("people who wrote a revision"))
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(_("saved"), default=timezone.now)

    class Meta:
        verbose_name = _("draft")
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "owner", "branch"], condition=Q(prompt__isnull=False), name="draft_once_a_person"
            )
        ]

    def __str__(self) -> str:
        return f"{self.prompt_id or 'new'} r{self.revision}"


class PromptActivity(models.Model):
    """Ended runs of a prompt a day, by version; written by ``runs`` so that lists of prompts need no run tables."""

    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="activity")
    version_number = models.PositiveIntegerField(default=0)
    day = models.DateField()
    runs = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, default=0)

    class Meta:
        verbose_name = _("activity")
        constraints = [models.UniqueConstraint(fields=["prompt", "version_number", "day"], name="activity_once_a_day")]
        indexes = [models.Index(fields=["day", "prompt"], name="activity_day")]

    def __str__(self) -> str:
        return f"{self.prompt_id} {self.day}: {self.runs}"
