"""The forms of webhooks and of the e-mail settings. They check shape; what is allowed is up to the services."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from promptops.notifications.kinds import kinds
from promptops.notifications.services import subscribable


class WebhookForm(forms.Form):
    url = forms.CharField(
        label=_("URL"),
        max_length=1000,
        help_text=_("It gets a POST with JSON for each event, and should answer 2xx within 10 seconds."),
        widget=forms.URLInput(
            attrs={"class": "mono", "placeholder": "https://", "spellcheck": "false", "autocomplete": "off"}
        ),
    )
    description = forms.CharField(
        label=_("What it is for"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["events"] = forms.MultipleChoiceField(
            label=_("Events"),
            choices=[(key, f"{label} ({key})") for key, label in subscribable().items()],
            widget=forms.CheckboxSelectMultiple,
        )


class WebhookEditForm(WebhookForm):
    is_active = forms.BooleanField(
        label=_("Active"), required=False, help_text=_("While it is off, nothing new is sent to it.")
    )


class EmailForm(forms.Form):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["kinds"] = forms.MultipleChoiceField(
            label=_("Send me an e-mail when"),
            required=False,
            choices=[(key, kind.label) for key, kind in kinds().items()],
            widget=forms.CheckboxSelectMultiple,
        )
