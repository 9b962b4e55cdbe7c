"""Change requests: what is proposed for a label, who said what of it, and by what right labels moved.

What decides whether a protected label may move is only ever added to: policies, owners, verdicts, checks, releases. The
newest row counts, the older ones are the history, and the database itself counts them (migration 0002).
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from promptops.accounts.models import Project, User
from promptops.prompts.models import Label, Prompt, PromptVersion

MAX_APPROVALS = 10


class LabelPolicy(models.Model):
    """What moving a label needs: in a whole project, below a folder, or for one prompt; the narrowest one counts.

    Append-only: the newest row of a place is in force, and nothing is when that one is ``withdrawn``.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    label = models.SlugField(_("label"), max_length=60)
    folder = models.CharField(_("folder"), max_length=200, blank=True, default="")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, null=True, related_name="+")
    protected = models.BooleanField(_("protected"), default=True)
    required_approvals = models.PositiveSmallIntegerField(_("required approvals"), default=1)
    owners_required = models.BooleanField(_("an owner of the folder must approve"), default=False)
    checks = ArrayField(models.CharField(max_length=60), default=list, verbose_name=_("checks that must pass"))
    hold_seconds = models.PositiveIntegerField(_("seconds between the last approval and the merge"), default=0)
    withdrawn = models.BooleanField(default=False)
    actor_user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    actor_name = models.CharField(_("by"), max_length=120)
    at = models.DateTimeField(_("time"), default=timezone.now)

    class Meta:
        verbose_name = _("label policy")
        constraints = [
            models.CheckConstraint(condition=Q(folder="") | Q(prompt=None), name="policy_one_place"),
            models.CheckConstraint(
                condition=Q(required_approvals__gte=1, required_approvals__lte=MAX_APPROVALS), name="policy_approvals"
            ),
        ]
        indexes = [models.Index(fields=["project", "label", "-id"], name="policy_newest")]

    def __str__(self) -> str:
        return f"{self.label} {self.prompt_id or self.folder or '*'}: {self.required_approvals}"


class CodeOwners(models.Model):
    """Who answers for a folder ("" is the whole project). Append-only: the newest row of a folder counts."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    folder = models.CharField(_("folder"), max_length=200, blank=True, default="")
    people = ArrayField(models.BigIntegerField(), default=list, verbose_name=_("people"))
    actor_user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    actor_name = models.CharField(_("by"), max_length=120)
    at = models.DateTimeField(_("time"), default=timezone.now)

    class Meta:
        verbose_name = _("owners of a folder")
        indexes = [models.Index(fields=["project", "folder", "-id"], name="code_owners_newest")]

    def __str__(self) -> str:
        return f"{self.folder or '*'}: {self.people}"


class ChangeRequest(models.Model):
    """A version that shall stand under a label, in place of the one that stands there (``replaces``).

    ``round`` counts what reviewers had to look at anew: it rises (in the database) when the candidate or what it
    replaces changes, and when a closed request is opened again. Verdicts count in their round alone.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        OPEN = "open", _("Open")
        CHANGES_REQUESTED = "changes_requested", _("Changes requested")
        APPROVED = "approved", _("Approved")
        OUTDATED = "outdated", _("Outdated")
        MERGED = "merged", _("Merged")
        REJECTED = "rejected", _("Rejected")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    IN_REVIEW = (State.OPEN, State.CHANGES_REQUESTED, State.APPROVED)
    UNDECIDED = (State.DRAFT, *IN_REVIEW, State.OUTDATED)

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField(_("number"))
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="+")
    label = models.SlugField(_("label"), max_length=60)
    candidate = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, related_name="+")
    replaces = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, null=True, related_name="+")
    round = models.PositiveIntegerField(default=1)
    title = models.CharField(_("title"), max_length=200)
    description = models.TextField(_("description"), blank=True, default="")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    author_name = models.CharField(_("author"), max_length=120)
    reviewers = models.ManyToManyField(User, blank=True, related_name="+", verbose_name=_("reviewers"))
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.OPEN)
    required_approvals = models.PositiveSmallIntegerField(_("required approvals, when last looked at"), default=0)
    closing_note = models.TextField(_("why it was closed"), blank=True, default="")
    closed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    closed_by_name = models.CharField(_("closed by"), max_length=120, blank=True, default="")
    closed_at = models.DateTimeField(_("closed"), null=True)
    created_at = models.DateTimeField(_("proposed"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now)

    class Meta:
        verbose_name = _("change request")
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="change_number_unique"),
            models.UniqueConstraint(
                fields=["prompt", "label", "candidate"],
                condition=Q(state__in=["draft", "open", "changes_requested", "approved", "outdated"]),
                name="change_proposed_once",
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "draft",
                        "open",
                        "changes_requested",
                        "approved",
                        "outdated",
                        "merged",
                        "rejected",
                        "withdrawn",
                    ]
                ),
                name="change_state_known",
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=False, state__in=["merged", "rejected", "withdrawn"])
                | Q(closed_at=None, state__in=["draft", "open", "changes_requested", "approved", "outdated"]),
                name="change_closed_at",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "state", "-updated_at", "-id"], name="change_newest"),
            models.Index(fields=["prompt", "label", "state"], name="change_of_label"),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.title}"

    @property
    def is_undecided(self) -> bool:
        return self.state in self.UNDECIDED


class Verdict(models.Model):
    """What a reviewer said of a candidate. Append-only; a person's newest one of the round is in effect.

    A ``dismiss`` row says that the verdict of ``reviewer`` counts no more; ``actor_user`` is who said so.
    """

    class Kind(models.TextChoices):
        APPROVE = "approve", _("Approved")
        REQUEST_CHANGES = "request_changes", _("Requested changes")
        DISMISS = "dismiss", _("Dismissed")

    change = models.ForeignKey(ChangeRequest, on_delete=models.PROTECT, related_name="verdicts")
    round = models.PositiveIntegerField(default=1)
    kind = models.CharField(max_length=20, choices=Kind)
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, related_name="+")
    closure_sha256 = models.CharField(max_length=64)
    body = models.TextField(_("text"), blank=True, default="")
    actor_user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    actor_name = models.CharField(_("by"), max_length=120)
    at = models.DateTimeField(_("time"), default=timezone.now)

    class Meta:
        verbose_name = _("verdict")
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["approve", "request_changes", "dismiss"]), name="verdict_kind_known"
            )
        ]
        indexes = [models.Index(fields=["change", "reviewer", "-id"], name="verdict_newest")]

    def __str__(self) -> str:
        return f"{self.change_id}: {self.kind} by {self.reviewer_id}"


class ReviewComment(models.Model):
    """A remark on a line of a message, or on the whole (no ``message_index``). Replies hang on a thread's first."""

    class Side(models.TextChoices):
        OLD = "old", _("before")
        NEW = "new", _("after")

    change = models.ForeignKey(ChangeRequest, on_delete=models.PROTECT, related_name="comments")
    thread = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="replies")
    version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, related_name="+")
    message_index = models.PositiveIntegerField(_("message, from 0"), null=True)
    line = models.PositiveIntegerField(_("line, from 1"), null=True)
    side = models.CharField(max_length=3, choices=Side, default=Side.NEW)
    body = models.TextField(_("comment"))
    suggestion = models.TextField(_("text that shall stand in place of the line"), null=True)
    applied_in = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, null=True, related_name="+")
    author_kind = models.CharField(max_length=10)
    author = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    author_name = models.CharField(_("by"), max_length=120)
    at = models.DateTimeField(_("time"), default=timezone.now)
    resolved_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    resolved_by_name = models.CharField(_("resolved by"), max_length=120, blank=True, default="")
    resolved_at = models.DateTimeField(_("resolved"), null=True)

    class Meta:
        verbose_name = _("comment")
        constraints = [
            models.CheckConstraint(
                condition=Q(line=None) | Q(message_index__isnull=False), name="comment_line_of_message"
            )
        ]
        indexes = [models.Index(fields=["change", "id"], name="comment_order")]

    def __str__(self) -> str:
        return f"{self.change_id}: {self.message_index}:{self.line}"

    @property
    def is_resolved(self) -> bool:
        return self.resolved_at is not None


class CheckResult(models.Model):
    """What a check found for a candidate against what it replaces. Append-only; the newest one counts."""

    change = models.ForeignKey(ChangeRequest, on_delete=models.PROTECT, related_name="check_results")
    name = models.CharField(_("check"), max_length=60)
    version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, related_name="+")
    replaces = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, null=True, related_name="+")
    passed = models.BooleanField(_("passed"))
    findings = models.JSONField(default=list)
    at = models.DateTimeField(_("time"), default=timezone.now)

    class Meta:
        verbose_name = _("check")
        indexes = [models.Index(fields=["change", "name", "-id"], name="check_newest")]

    def __str__(self) -> str:
        return f"{self.change_id}: {self.name} {self.passed}"


class Release(models.Model):
    """By what right a label is about to move. Append-only; the database verifies it, and that it is carried out.

    ``after_move`` is the label's last move when it was granted: a release is used once.
    """

    class Authority(models.TextChoices):
        MERGE = "merge", _("merge")
        BREAK_GLASS = "break_glass", _("break-glass")

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    from_version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, null=True, related_name="+")
    to_version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, null=True, related_name="+")
    authority = models.CharField(max_length=12, choices=Authority)
    change = models.ForeignKey(ChangeRequest, on_delete=models.PROTECT, null=True, related_name="releases")
    reason = models.TextField(_("reason"), blank=True, default="")
    actor_user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    after_move = models.BigIntegerField(null=True)
    at = models.DateTimeField(_("time"), default=timezone.now)

    class Meta:
        verbose_name = _("release")
        indexes = [models.Index(fields=["label", "-id"], name="release_newest")]

    def __str__(self) -> str:
        return f"{self.label_id}: {self.from_version_id} → {self.to_version_id} by {self.authority}"
