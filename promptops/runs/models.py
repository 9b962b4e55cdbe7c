"""Runs: what was executed, on what, with which result, at which cost.

``Run``, ``RunPayload`` and ``Attempt`` are range-partitioned by the run's UUIDv7 (so, by time): lists and dashboards
read the narrow ``Run``; texts live in ``RunPayload``; dropping a partition is retention. See ``partitions.py``;
references into them are plain columns. What ended never changes: the triggers stand in migration ``0003``.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from promptops.accounts.models import Project, User
from promptops.catalog.models import Endpoint
from promptops.core.ids import uuid7
from promptops.prompts.models import Prompt, PromptSpec, PromptVersion


class Priority(models.IntegerChoices):
    """Lower goes first, within a queue; between projects of equal priority the share is fair."""

    INTERACTIVE = 0, _("interactive")
    LIVE = 10, _("live")
    EXPERIMENT = 20, _("experiment")
    BACKFILL = 30, _("backfill")


class Status(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    BLOCKED = "blocked", _("blocked")

    @property
    def is_terminal(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING)


class Batch(models.Model):
    """Many runs started together. Pausing belongs to the batch; its counts are read from its runs."""

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        PAUSED = "paused", _("paused")
        CANCELLED = "cancelled", _("cancelled")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="batches")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="batches")
    version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=60, blank=True, default="")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    total = models.PositiveIntegerField()
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)  # noted some seconds after its last run (batch_ends)

    class Meta:
        verbose_name = _("batch")
        indexes = [
            models.Index(fields=["project", "-id"], name="batch_newest"),
            models.Index(fields=["created_at"], name="batch_open", condition=Q(ended_at=None)),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Run(models.Model):
    """One execution of a spec on an endpoint. Field names follow the OpenTelemetry GenAI conventions."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+", db_index=False)
    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, null=True, related_name="runs", db_index=False)
    parent_id = models.UUIDField(null=True)
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, null=True, related_name="runs", db_index=False)
    version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    spec = models.ForeignKey(PromptSpec, on_delete=models.PROTECT, related_name="+", db_index=False)
    label = models.CharField(_("label asked for"), max_length=60, blank=True, default="")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="+", db_index=False)
    queue = models.CharField(max_length=20)
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.LIVE)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.QUEUED)

    # Who asked.
    actor_kind = models.CharField(max_length=10)
    actor_user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    token_id = models.BigIntegerField(null=True)

    # The lease: who works on it now, and how often somebody began.
    lease_token = models.UUIDField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    claims = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True, default="")
    not_before = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    held = models.BooleanField(_("waits for its paused batch"), default=False)
    retry_safe = models.BooleanField(_("may be called again when it is unknown what became of a call"), default=True)
    stream = models.BooleanField(_("asks the provider for tokens as they come"), default=True)
    attempt_count = models.PositiveSmallIntegerField(default=0)

    # What came of it. Tokens are counts; times are milliseconds; money is USD.
    finish_reason = models.CharField(max_length=20, blank=True, default="")
    request_model = models.CharField(max_length=200, blank=True, default="")
    response_model = models.CharField(max_length=200, blank=True, default="")
    response_id = models.CharField(max_length=200, blank=True, default="")
    system_fingerprint = models.CharField(max_length=200, blank=True, default="")
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cached_input_tokens = models.PositiveIntegerField(null=True)
    reasoning_tokens = models.PositiveIntegerField(null=True)
    usage_estimated = models.BooleanField(default=False)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    cost_estimated = models.BooleanField(default=False)
    latency_ms = models.PositiveIntegerField(null=True)
    time_to_first_token_ms = models.PositiveIntegerField(null=True)
    seed = models.BigIntegerField(null=True)
    cached = models.BooleanField(default=False)
    trace_id = models.CharField(max_length=32, blank=True, default="")
    error = models.JSONField(_("{kind, message, permanent}"), null=True)
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("run")
        indexes = [
            # What a worker takes next: each project's queue in order, skipping whole paused batches.
            models.Index(
                fields=["queue", "project", "priority", "id"],
                name="run_claim",
                condition=Q(status="queued", held=False),
            ),
            # Few rows at any time. The expiry is left out of it on purpose: so renewing a lease touches no index.
            models.Index(fields=["queue", "project"], name="run_running", condition=Q(status="running")),
            models.Index(fields=["project", "-id"], name="run_newest"),
            models.Index(fields=["prompt", "-id"], name="run_prompt"),
            models.Index(fields=["version", "-id"], name="run_version"),
            models.Index(fields=["endpoint", "-id"], name="run_endpoint"),
            models.Index(fields=["batch", "status"], name="run_batch", condition=Q(batch__isnull=False)),
            models.Index(fields=["parent_id"], name="run_parent", condition=Q(parent_id__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=Status.values), name="run_status_known"),
            models.CheckConstraint(
                condition=~Q(status="running") | Q(lease_token__isnull=False, lease_expires_at__isnull=False),
                name="run_running_has_lease",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], ended_at=None)
                | (~Q(status__in=["queued", "running"]) & Q(ended_at__isnull=False)),
                name="run_terminal_has_end",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.status}"


class RunPayload(models.Model):
    """The texts of a run: what went in, what was sent, what came out (also the part of a stream that broke)."""

    run_id = models.UUIDField(primary_key=True)
    variables = models.JSONField(default=dict)
    messages = models.JSONField(_("rendered messages"), null=True)
    parameters = models.JSONField(default=dict)
    includes = models.JSONField(
        _("versions that were part of the prompt: {reference, prompt, version, label}"), default=list
    )
    output = models.TextField(null=True)

    class Meta:
        verbose_name = _("run payload")

    def __str__(self) -> str:
        return str(self.run_id)


class Attempt(models.Model):
    """One provider call, committed before its socket opens: nothing is billed unseen. Prices are snapshots."""

    class Status(models.TextChoices):
        OPEN = "open", _("in flight")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        UNKNOWN = "unknown", _("unknown: the worker died; may be billed")

    pk = models.CompositePrimaryKey("run_id", "number")
    run_id = models.UUIDField()
    number = models.PositiveSmallIntegerField()
    lease_token = models.UUIDField()
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="+", db_index=False)
    request_model = models.CharField(max_length=200)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    input_price = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    output_price = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    cached_input_price = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    cache_write_price = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    reserved_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cached_input_tokens = models.PositiveIntegerField(null=True)
    cache_write_tokens = models.PositiveIntegerField(null=True)
    reasoning_tokens = models.PositiveIntegerField(null=True)
    usage_estimated = models.BooleanField(default=False)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    response_id = models.CharField(max_length=200, blank=True, default="")
    response_model = models.CharField(max_length=200, blank=True, default="")
    error = models.JSONField(null=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    time_to_first_token_ms = models.PositiveIntegerField(null=True)

    class Meta:
        verbose_name = _("attempt")

    def __str__(self) -> str:
        return f"{self.run_id}#{self.number} {self.status}"


class Worker(models.Model):
    """A live worker process renews ``seen_at`` every few seconds; ``readyz`` and the run pages read it."""

    name = models.CharField(max_length=120, primary_key=True)
    queue = models.CharField(max_length=20)
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    running = models.PositiveIntegerField(default=0)
    note = models.CharField(_("what it is busy with, such as loading a model"), max_length=200, blank=True, default="")

    class Meta:
        verbose_name = _("worker")

    def __str__(self) -> str:
        return self.name
