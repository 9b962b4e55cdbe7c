"""The forms of the model pages. They parse; what the values mean is checked by the services."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from promptops.catalog import prices
from promptops.catalog.models import Credential, Endpoint, Provider
from promptops.catalog.services.credentials import MAX_KEY, MAX_NAME, MAX_URL
from promptops.catalog.services.endpoints import FREE_PROVIDERS, MAX_DESCRIPTION, MAX_MODEL_NAME
from promptops.catalog.services.endpoints import MAX_NAME as MAX_ENDPOINT_NAME
from promptops.core.errors import Invalid

PLAIN = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}
# The parameters that have a field of their own; the rest is JSON.
COMMON = ("temperature", "max_tokens", "top_p")


def _price_field(label: Any, example: str) -> forms.CharField:
    """Text, so that what somebody typed comes back as it was; the service reads it."""
    attributes = {"inputmode": "decimal", "placeholder": example, "autocomplete": "off", "class": "nums"}
    return forms.CharField(label=label, max_length=40, required=False, widget=forms.TextInput(attrs=attributes))


class ParametersField(forms.JSONField):
    """A JSON object, pretty; empty for none."""

    def prepare_value(self, value: Any) -> Any:
        return "" if value in (None, "", {}) else super().prepare_value(value)

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value) or {}
        if not isinstance(cleaned, dict):
            raise forms.ValidationError(_("Enter a JSON object, such as {“stop”: [“END”]}."))
        return cleaned


class EndpointForm(forms.Form):
    """Everything about an endpoint that can change. ``price_fields`` is False for models that cost nothing a token."""

    name = forms.CharField(
        label=_("Name"),
        max_length=MAX_ENDPOINT_NAME,
        help_text=_("What people see."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    credential = forms.TypedChoiceField(label=_("Credential"), coerce=int, empty_value=None)
    context_window = forms.IntegerField(
        label=_("Context"),
        min_value=1,
        required=False,
        help_text=_("Tokens, prompt and answer."),
    )
    input_price = _price_field(_("Input"), "0.15")
    output_price = _price_field(_("Output"), "0.60")
    cached_input_price = _price_field(_("Cached input"), "0.075")
    cache_write_price = _price_field(_("Cache write"), "")
    temperature = forms.FloatField(label=_("Temperature"), required=False, widget=forms.NumberInput({"step": "0.1"}))
    max_tokens = forms.IntegerField(label=_("Max tokens"), required=False, help_text=_("Of the answer."))
    top_p = forms.FloatField(label=_("Top p"), required=False, widget=forms.NumberInput({"step": "0.05"}))
    other = ParametersField(
        label=_("Other parameters (JSON)"),
        required=False,
        widget=forms.Textarea({"rows": 3, "class": "mono", "spellcheck": "false"}),
    )
    description = forms.CharField(
        label=_("Model card"),
        max_length=MAX_DESCRIPTION,
        required=False,
        widget=forms.Textarea({"rows": 6}),
        help_text=_("What it is good for, what it is not for, who answers for it."),
    )

    def __init__(self, *args: Any, provider: str, credentials: Sequence[Credential], **options: Any) -> None:
        super().__init__(*args, **options)
        self.price_fields = provider not in FREE_PROVIDERS
        if not self.price_fields:
            for field in ("credential", *prices.FIELDS):
                del self.fields[field]
            return
        choice = self.fields["credential"]
        assert isinstance(choice, forms.ChoiceField)  # noqa: S101 (declared above)
        choice.choices = [(str(one.pk), str(one)) for one in credentials]

    def chosen_credential(self, credentials: Sequence[Credential]) -> Credential | None:
        """Return the credential that was chosen, None where the provider needs none."""
        wanted = self.cleaned_data.get("credential")
        return next((one for one in credentials if one.pk == wanted), None)

    def parameters(self) -> dict[str, Any]:
        """Return the default parameters: the fields' over those of the JSON."""
        clean = self.cleaned_data
        return {**clean["other"], **{name: clean[name] for name in COMMON if clean.get(name) is not None}}

    def price(self) -> dict[str, str] | None:
        """Return the typed prices, None for a model that costs nothing a token."""
        if not self.price_fields:
            return None
        return {name: self.cleaned_data.get(name, "") for name in prices.FIELDS}

    def show(self, error: Invalid) -> Invalid:
        """Return a service's refusal with its paths (``parameters.top_k``) as this form's fields."""
        errors: dict[str, list[str]] = {}
        for path, texts in error.errors.items():
            field = path
            if path.partition(".")[0] == "parameters":
                name = path.partition(".")[2]
                field = name if name in COMMON else "other"
                texts = [f"{name}: {text}" for text in texts] if field == "other" and name else texts
            errors.setdefault(field, []).extend(texts)
        return Invalid(error.detail, errors=errors, code=error.code)


class NewEndpointForm(EndpointForm):
    """A new endpoint also has what stays: its slug and its model."""

    slug = forms.CharField(
        label=_("Slug"),
        max_length=80,
        help_text=_("Its name in code. It stays."),
        widget=forms.TextInput(attrs={**PLAIN, "class": "mono"}),
    )
    model_name = forms.CharField(
        label=_("Model"),
        max_length=MAX_MODEL_NAME,
        help_text=_("As the provider spells it. Another model is another endpoint."),
        widget=forms.TextInput(attrs={**PLAIN, "class": "mono", "list": "offered-models"}),
    )
    is_default = forms.BooleanField(
        label=_("Use it where nobody names a model"), required=False, widget=forms.CheckboxInput()
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if options["provider"] == Provider.LOCAL:
            place = {"folder": settings.LOCAL_MODELS_DIR}
            self.fields["model_name"].help_text = _("The name of its folder in %(folder)s.") % place


def initial_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return what the form of an existing endpoint begins with."""
    others = {name: value for name, value in endpoint.parameters.items() if name not in COMMON}
    return {
        "name": endpoint.name,
        "credential": endpoint.credential_id,
        "context_window": endpoint.context_window,
        "description": endpoint.description,
        **{name: plain_amount(getattr(endpoint, name)) for name in prices.FIELDS},
        **{name: endpoint.parameters.get(name) for name in COMMON},
        "other": others or None,
    }


def plain_amount(amount: Decimal | None) -> str:
    """``Decimal("0.1500000000")`` → ``0.15``; empty for None."""
    return "" if amount is None else f"{amount.normalize():f}"


class CredentialForm(forms.Form):
    """A provider's key. What was typed as the key never comes back, not even beside an error."""

    name = forms.CharField(
        label=_("Name"),
        max_length=MAX_NAME,
        help_text=_("Such as “OpenAI, support team”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    base_url = forms.CharField(
        label=_("Base URL"),
        max_length=MAX_URL,
        required=False,
        widget=forms.TextInput(attrs={**PLAIN, "class": "mono", "inputmode": "url"}),
    )
    api_key = forms.CharField(
        label=_("API key"),
        max_length=MAX_KEY,
        required=False,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "mono", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, credential: Credential | None = None, provider: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        provider = credential.provider if credential else provider
        address = self.fields["base_url"]
        if provider == Provider.ANTHROPIC:
            address.help_text = _("Only for a proxy of yours. Empty: api.anthropic.com.")
        else:
            address.help_text = _(
                "Of an OpenAI-compatible server, usually ending in /v1. Empty: api.openai.com. Addresses inside a "
                "network are refused unless the operator allows them (ALLOWED_PROVIDER_HOSTS)."
            )
        if credential:
            self.fields["api_key"].help_text = _(
                "Empty: the key stays as it is. Another address needs the key again: it will be sent there."
            )
        else:
            self.fields["api_key"].help_text = _(
                "Encrypted at once and never shown again: afterwards you see its last four characters. "
                "A server of your own may need none."
            )
            self.fields["api_key"].required = not self.data.get("base_url", "").strip()


class NewCredentialForm(CredentialForm):
    provider = forms.ChoiceField(
        label=_("Provider"),
        choices=[(Provider.OPENAI.value, Provider.OPENAI.label), (Provider.ANTHROPIC.value, Provider.ANTHROPIC.label)],
        widget=forms.RadioSelect,
    )
