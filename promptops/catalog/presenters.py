"""What the pages say about endpoints and credentials: whether they work, what they cost, and what to do."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from promptops.catalog import prices
from promptops.catalog.local_models import Presence, presence_of
from promptops.catalog.models import Credential, Endpoint, Provider
from promptops.engines.local_model import EMBEDDED_MODEL, HOW_TO_ADD


@dataclass(frozen=True)
class Health:
    """``tone``: good, waiting, bad or unknown. ``detail`` says what is wrong, and ``todo`` what to do about it."""

    tone: str
    label: str
    detail: str = ""
    todo: str = ""
    at: dt.datetime | None = None

    @property
    def css_class(self) -> str:
        return {"good": "succeeded", "waiting": "running", "bad": "failed"}.get(self.tone, "")

    @property
    def symbol(self) -> str:
        return {"good": "circle-check", "waiting": "clock", "bad": "circle-x"}.get(self.tone, "help-circle")


def health_of(endpoint: Endpoint) -> Health:
    """Return whether runs on this endpoint can be expected to work, as far as this installation knows."""
    if endpoint.archived_at is not None:
        return Health("unknown", _("Archived"), _("Nobody can start runs on it. Restoring brings it back."))
    if endpoint.provider == Provider.LOCAL:
        return _health_of_local(endpoint)
    if endpoint.credential is None:
        return Health("good", _("Ready"))
    return health_of_credential(endpoint.credential)


def health_of_credential(credential: Credential) -> Health:
    """Return what the last test of a credential met."""
    if not credential.is_live:
        return Health(
            "bad",
            _("Key destroyed"),
            _("The credential “%s” is archived, so the provider cannot be called.") % credential.name,
            _("Give the endpoint another credential."),
        )
    if credential.tested_at is None:
        return Health("unknown", _("Not tested"), _("Nobody has tried the key yet."))
    if credential.test_error:
        return Health("bad", _("Test failed"), credential.test_error, at=credential.tested_at)
    return Health("good", _("Works"), _("The provider took the key."), at=credential.tested_at)


def _health_of_local(endpoint: Endpoint) -> Health:
    presence = presence_of(endpoint.model_folder)
    if presence == Presence.READY:
        return Health("good", _("Ready"), _("The model lies on this machine, ready to be loaded."))
    if presence == Presence.PREPARED_ON_USE:
        return Health(
            "waiting", _("Being prepared"), _("The model is converted once, in some seconds; runs wait for that.")
        )
    if settings.PRODUCTION:
        # Web and workers are different machines there, and only the worker needs the model and its packages.
        return Health(
            "unknown", _("With the worker"), _("This machine does not have the model; the worker may have it.")
        )
    if presence == Presence.PACKAGES_MISSING:
        return Health(
            "bad",
            _("Not installed"),
            _("The packages that run local models are not installed; everything else works without them."),
            _("Install them with `pip install -r requirements/local.txt`, then restart."),
        )
    if endpoint.model_folder == EMBEDDED_MODEL:
        todo = _("%(how)s Then restart: the model is converted once, in some seconds.") % {"how": HOW_TO_ADD}
        return Health(
            "bad",
            _("Not installed"),
            _("The embedded model is not installed; everything else works without it."),
            todo,
        )
    return Health(
        "bad",
        _("Not found"),
        _("There is no folder “%(name)s” in %(path)s.")
        % {"name": endpoint.model_folder, "path": settings.LOCAL_MODELS_DIR},
        _("Put the model there, as transformers saves it (config.json, tokenizer, safetensors)."),
    )


@dataclass(frozen=True)
class PriceLine:
    """One price in USD a million tokens; None is unknown."""

    label: str
    amount: Decimal | None

    @property
    def text(self) -> str:
        return price_text(self.amount)


def price_text(amount: Decimal | None) -> str:
    """``$0.60``, ``$0.075``: at least cents, and every digit that the price has; unknown is a dash."""
    if amount is None:
        return "—"
    if amount == 0:
        return "$0"
    cents = amount.quantize(Decimal("0.01"))
    return f"${cents:,}" if cents == amount else f"${amount.normalize():,f}"


def price_lines(priced: Endpoint | prices.Price) -> list[PriceLine]:
    """Return the prices to show: those of input and output always, those of the cache where they are known."""
    lines = [PriceLine(_("Input"), priced.input_price), PriceLine(_("Output"), priced.output_price)]
    optional = [
        PriceLine(_("Cached input"), priced.cached_input_price),
        PriceLine(_("Cache write"), priced.cache_write_price),
    ]
    return lines + [line for line in optional if line.amount]


def source_of(priced: Endpoint) -> str:
    """Return in words where a price comes from; empty where there is none."""
    source = priced.price_source
    if source == prices.MANUAL:
        return _("entered by hand")
    if source == prices.LOCAL:
        return _("local: no money a token")
    return _("from the price list %s") % source if source else ""


def short_provider(endpoint: Endpoint) -> str:
    """Return the provider in a word or two; a server of one's own by its host."""
    if endpoint.provider == Provider.LOCAL:
        return _("local")
    if endpoint.credential and endpoint.credential.base_url:
        return urlsplit(endpoint.credential.base_url).hostname or ""
    return {Provider.OPENAI: "OpenAI", Provider.ANTHROPIC: "Anthropic"}.get(
        Provider(endpoint.provider), endpoint.provider
    )
