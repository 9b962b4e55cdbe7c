"""What prompts can run on: credentials (encrypted), and model endpoints with their prices and limits."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from promptops.accounts.models import Project, User


class Provider(models.TextChoices):
    """Which protocol an endpoint speaks. OpenAI-compatible servers are ``openai`` with a ``base_url``."""

    OPENAI = "openai", _("OpenAI or compatible")
    ANTHROPIC = "anthropic", _("Anthropic")
    LOCAL = "local", _("Local (transformers)")
    SCRIPTED = "scripted", _("Scripted (tests)")


class Credential(models.Model):
    """An API key of a provider. The key itself is never shown again, only its last four characters."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="credentials")
    name = models.CharField(_("name"), max_length=80)
    provider = models.CharField(_("provider"), max_length=20, choices=Provider)
    base_url = models.CharField(_("base URL"), max_length=300, blank=True, default="")
    encrypted_key = models.BinaryField()
    last_four = models.CharField(_("ends in"), max_length=4)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    archived_at = models.DateTimeField(null=True)
    tested_at = models.DateTimeField(_("tested"), null=True)
    test_error = models.TextField(_("what the last test met; empty: it worked"), blank=True, default="")
    offered_models = models.JSONField(_("models that the last test that worked found"), default=list, blank=True)

    class Meta:
        verbose_name = _("credential")
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], condition=Q(archived_at=None), name="credential_name_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} (…{self.last_four})"

    @property
    def is_live(self) -> bool:
        return self.archived_at is None


class Endpoint(models.Model):
    """A model that this project can run prompts on: provider, credential, model name, price, limits.

    Prices are USD a million tokens. An empty price means that nobody said what the model costs: runs on it have an
    unknown cost, which is not the same as 0.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="endpoints")
    slug = models.SlugField(_("slug"), max_length=80)
    name = models.CharField(_("name"), max_length=120)
    provider = models.CharField(_("provider"), max_length=20, choices=Provider)
    credential = models.ForeignKey(
        Credential, on_delete=models.PROTECT, null=True, blank=True, related_name="endpoints"
    )
    model_name = models.CharField(_("model"), max_length=200)
    description = models.TextField(_("model card"), blank=True, default="")
    context_window = models.PositiveIntegerField(_("context window (tokens)"), null=True, blank=True)
    input_price = models.DecimalField(_("input price"), max_digits=20, decimal_places=10, null=True, blank=True)
    output_price = models.DecimalField(_("output price"), max_digits=20, decimal_places=10, null=True, blank=True)
    cached_input_price = models.DecimalField(
        _("cached input price"), max_digits=20, decimal_places=10, null=True, blank=True
    )
    cache_write_price = models.DecimalField(
        _("cache write price"), max_digits=20, decimal_places=10, null=True, blank=True
    )
    price_source = models.CharField(_("price from"), max_length=80, blank=True, default="")
    priced_at = models.DateTimeField(_("price noted"), null=True, blank=True)
    price_limit = models.PositiveIntegerField(
        _("input tokens up to which the price holds; the provider charges more above"), null=True, blank=True
    )
    parameters = models.JSONField(_("default parameters"), default=dict, blank=True)
    is_default = models.BooleanField(_("default"), default=False)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("model endpoint")
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="endpoint_slug_unique"),
            models.UniqueConstraint(
                fields=["project"], condition=Q(is_default=True, archived_at=None), name="endpoint_one_default"
            ),
            models.CheckConstraint(
                condition=Q(provider__in=["local", "scripted"]) | Q(credential__isnull=False),
                name="endpoint_needs_credential",
            ),
            models.CheckConstraint(
                condition=(Q(input_price=None) | Q(input_price__gte=0))
                & (Q(output_price=None) | Q(output_price__gte=0)),
                name="endpoint_price_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def queue(self) -> str:
        """The Celery queue whose workers can run it."""
        return "local" if self.provider == Provider.LOCAL else "api"

    @property
    def model_folder(self) -> str:
        """The folder below ``LOCAL_MODELS_DIR`` in which a local model lies: the last part of its name."""
        return self.model_name.rpartition("/")[2]

    @property
    def has_price(self) -> bool:
        return self.input_price is not None and self.output_price is not None
