"""Runs, their payloads and attempts (partitioned by the run's UUIDv7), batches and workers."""

import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

from promptops.runs.partitions import CreatePartitionedModel


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0002_watched"),
        ("catalog", "0001_initial"),
        ("prompts", "0002_immutable"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        CreatePartitionedModel(
            partition_by="run_id",
            name="RunPayload",
            fields=[
                ("run_id", models.UUIDField(primary_key=True, serialize=False)),
                ("variables", models.JSONField(default=dict)),
                ("messages", models.JSONField(null=True, verbose_name="rendered messages")),
                ("parameters", models.JSONField(default=dict)),
                ("output", models.TextField(null=True)),
            ],
            options={
                "verbose_name": "run payload",
            },
        ),
        migrations.CreateModel(
            name="Worker",
            fields=[
                ("name", models.CharField(max_length=120, primary_key=True, serialize=False)),
                ("queue", models.CharField(max_length=20)),
                ("started_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("seen_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("running", models.PositiveIntegerField(default=0)),
                (
                    "note",
                    models.CharField(
                        blank=True,
                        default="",
                        max_length=200,
                        verbose_name="what it is busy with, such as loading a model",
                    ),
                ),
            ],
            options={
                "verbose_name": "worker",
            },
        ),
        CreatePartitionedModel(
            partition_by="run_id",
            name="Attempt",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "run_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("run_id", models.UUIDField()),
                ("number", models.PositiveSmallIntegerField()),
                ("lease_token", models.UUIDField()),
                ("request_model", models.CharField(max_length=200)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "in flight"),
                            ("succeeded", "succeeded"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                            ("unknown", "unknown: the worker died; may be billed"),
                        ],
                        default="open",
                        max_length=10,
                    ),
                ),
                ("input_price", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ("output_price", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ("cached_input_price", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ("cache_write_price", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ("reserved_usd", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ("input_tokens", models.PositiveIntegerField(null=True)),
                ("output_tokens", models.PositiveIntegerField(null=True)),
                ("cached_input_tokens", models.PositiveIntegerField(null=True)),
                ("cache_write_tokens", models.PositiveIntegerField(null=True)),
                ("reasoning_tokens", models.PositiveIntegerField(null=True)),
                ("usage_estimated", models.BooleanField(default=False)),
                ("cost_usd", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ("response_id", models.CharField(blank=True, default="", max_length=200)),
                ("response_model", models.CharField(blank=True, default="", max_length=200)),
                ("error", models.JSONField(null=True)),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("latency_ms", models.PositiveIntegerField(null=True)),
                ("time_to_first_token_ms", models.PositiveIntegerField(null=True)),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.endpoint",
                    ),
                ),
            ],
            options={
                "verbose_name": "attempt",
            },
        ),
        migrations.CreateModel(
            name="Batch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("label", models.CharField(blank=True, default="", max_length=60)),
                (
                    "state",
                    models.CharField(
                        choices=[("active", "active"), ("paused", "paused"), ("cancelled", "cancelled")],
                        default="active",
                        max_length=10,
                    ),
                ),
                ("total", models.PositiveIntegerField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "endpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="catalog.endpoint"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="batches", to="accounts.project"
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="batches", to="prompts.prompt"
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="prompts.promptversion"
                    ),
                ),
            ],
            options={
                "verbose_name": "batch",
            },
        ),
        CreatePartitionedModel(
            partition_by="id",
            name="Run",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("parent_id", models.UUIDField(null=True)),
                ("label", models.CharField(blank=True, default="", max_length=60, verbose_name="label asked for")),
                ("queue", models.CharField(max_length=20)),
                (
                    "priority",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "interactive"), (10, "live"), (20, "experiment"), (30, "backfill")], default=10
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("running", "running"),
                            ("succeeded", "succeeded"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                            ("blocked", "blocked"),
                        ],
                        default="queued",
                        max_length=10,
                        verbose_name="status",
                    ),
                ),
                ("actor_kind", models.CharField(max_length=10)),
                ("token_id", models.BigIntegerField(null=True)),
                ("lease_token", models.UUIDField(null=True)),
                ("lease_expires_at", models.DateTimeField(null=True)),
                ("claims", models.PositiveSmallIntegerField(default=0)),
                ("worker", models.CharField(blank=True, default="", max_length=120)),
                ("not_before", models.DateTimeField(null=True)),
                ("cancel_requested_at", models.DateTimeField(null=True)),
                ("held", models.BooleanField(default=False, verbose_name="waits for its paused batch")),
                (
                    "retry_safe",
                    models.BooleanField(
                        default=True, verbose_name="may be called again when it is unknown what became of a call"
                    ),
                ),
                ("stream", models.BooleanField(default=True, verbose_name="asks the provider for tokens as they come")),
                ("attempt_count", models.PositiveSmallIntegerField(default=0)),
                ("finish_reason", models.CharField(blank=True, default="", max_length=20)),
                ("request_model", models.CharField(blank=True, default="", max_length=200)),
                ("response_model", models.CharField(blank=True, default="", max_length=200)),
                ("response_id", models.CharField(blank=True, default="", max_length=200)),
                ("system_fingerprint", models.CharField(blank=True, default="", max_length=200)),
                ("input_tokens", models.PositiveIntegerField(null=True)),
                ("output_tokens", models.PositiveIntegerField(null=True)),
                ("cached_input_tokens", models.PositiveIntegerField(null=True)),
                ("reasoning_tokens", models.PositiveIntegerField(null=True)),
                ("usage_estimated", models.BooleanField(default=False)),
                ("cost_usd", models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ("cost_estimated", models.BooleanField(default=False)),
                ("latency_ms", models.PositiveIntegerField(null=True)),
                ("time_to_first_token_ms", models.PositiveIntegerField(null=True)),
                ("seed", models.BigIntegerField(null=True)),
                ("cached", models.BooleanField(default=False)),
                ("trace_id", models.CharField(blank=True, default="", max_length=32)),
                ("error", models.JSONField(null=True, verbose_name="{kind, message, permanent}")),
                ("metadata", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "actor_user",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "batch",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs",
                        to="runs.batch",
                    ),
                ),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.endpoint",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.project",
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs",
                        to="prompts.prompt",
                    ),
                ),
                (
                    "spec",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="prompts.promptspec",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="prompts.promptversion",
                    ),
                ),
            ],
            options={
                "verbose_name": "run",
            },
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(fields=["project", "-id"], name="batch_newest"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("held", False), ("status", "queued")),
                fields=["queue", "project", "priority", "id"],
                name="run_claim",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("status", "running")), fields=["queue", "project"], name="run_running"
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["project", "-id"], name="run_newest"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["prompt", "-id"], name="run_prompt"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["version", "-id"], name="run_version"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["endpoint", "-id"], name="run_endpoint"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("batch__isnull", False)), fields=["batch", "status"], name="run_batch"
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("parent_id__isnull", False)), fields=["parent_id"], name="run_parent"
            ),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["queued", "running", "succeeded", "failed", "cancelled", "blocked"])
                ),
                name="run_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "running"), _negated=True),
                    models.Q(("lease_expires_at__isnull", False), ("lease_token__isnull", False)),
                    _connector="OR",
                ),
                name="run_running_has_lease",
            ),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at", None), ("status__in", ["queued", "running"])),
                    models.Q(
                        models.Q(("status__in", ["queued", "running"]), _negated=True), ("ended_at__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="run_terminal_has_end",
            ),
        ),
    ]
