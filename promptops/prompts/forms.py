"""The forms of the prompt pages. They parse; what the values mean is checked by the services."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from promptops.prompts.models import Prompt
from promptops.prompts.services.labels import MAX_REASON
from promptops.prompts.services.prompts import MAX_DESCRIPTION, MAX_FOLDER
from promptops.prompts.services.versions import MAX_MESSAGE
from promptops.templating import SYNTAXES

MAX_NUMBER = 2**31 - 1


class TagsField(forms.CharField):
    """Tags between commas; cleans to a list."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(str(tag) for tag in value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [str(tag) for tag in value]
        return [tag.strip() for tag in str(value or "").replace("，", ",").split(",") if tag.strip()]


class HeadingForm(forms.Form):
    """What a prompt is called and where it is filed."""

    slug = forms.CharField(
        label=_("Slug"),
        max_length=100,
        help_text=_("Its name in links and in code. Old slugs redirect to the new one."),
    )
    folder = forms.CharField(
        label=_("Folder"), max_length=MAX_FOLDER, required=False, help_text=_("Such as “support/email”.")
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=MAX_DESCRIPTION,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    tags = TagsField(label=_("Tags"), required=False, help_text=_("Separated by commas."))


class MoveLabelForm(forms.Form):
    """Where a label goes, and why. ``expected`` is where the mover saw it stand (0: nowhere).

    The label is one of those that are offered, or a new one (``other``), when none of them was chosen.
    """

    label = forms.CharField(label=_("Label"), max_length=60, required=False)
    other = forms.CharField(label=_("Name of the label"), max_length=60, required=False)
    version = forms.IntegerField(label=_("To version"), min_value=1, max_value=MAX_NUMBER)
    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_REASON,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Shown in the label's history."),
    )
    expected = forms.IntegerField(min_value=0, max_value=MAX_NUMBER, required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        super().clean()
        name = self.cleaned_data.get("label") or self.cleaned_data.get("other") or ""
        if not name and "label" not in self.errors and "other" not in self.errors:
            self.add_error("label", _("Choose a label, or write the name of a new one."))
        return {**self.cleaned_data, "label": name}


class EditorForm(forms.Form):
    """What the editor posts: the spec in JSON pieces, which revision of the draft it is, and the message.

    ``base`` is the version that the page shows (a draft that is not stored yet knows none); ``onto`` the one on top of
    which a version is to be saved.

    A piece that is no JSON (somebody is still typing a schema, say) is an error of that field and is left out of
    ``content``; the page shows again what was typed.
    """

    kind = forms.ChoiceField(choices=Prompt.Kind.choices, required=False)
    syntax = forms.ChoiceField(choices=[(name, name) for name in SYNTAXES], required=False)
    messages = forms.JSONField(required=False)
    variables = forms.JSONField(required=False)
    parameters = forms.JSONField(required=False)
    extra = forms.JSONField(required=False)
    output_schema = forms.JSONField(required=False)
    revision = forms.IntegerField(min_value=0, max_value=MAX_NUMBER, required=False)
    message = forms.CharField(max_length=MAX_MESSAGE, required=False)
    base = forms.IntegerField(min_value=1, max_value=MAX_NUMBER, required=False)
    onto = forms.IntegerField(min_value=1, max_value=MAX_NUMBER, required=False)

    slug = forms.CharField(required=False)
    folder = forms.CharField(required=False)
    description = forms.CharField(required=False)
    tags = TagsField(required=False)

    values = forms.JSONField(required=False)
    endpoint = forms.CharField(required=False, max_length=80)

    def clean_extra(self) -> Any:
        """The page has merged these into ``parameters`` already, unless they are no JSON object."""
        given = self.cleaned_data["extra"]
        if given is not None and not isinstance(given, dict):
            raise forms.ValidationError(_("Enter a JSON object, such as {“top_k”: 40}."))
        return given

    def content(self) -> dict[str, Any]:
        """Return the spec as typed; it may be incomplete."""
        self.is_valid()
        clean = self.cleaned_data
        content: dict[str, Any] = {
            "kind": clean.get("kind") or "chat",
            "syntax": clean.get("syntax") or "jinja",
            "messages": of_type(clean.get("messages"), list, []),
            "parameters": of_type(clean.get("parameters"), dict, {}),
            "variables": of_type(clean.get("variables"), dict, {}),
            "output_schema": clean.get("output_schema"),
        }
        return content

    def heading(self) -> dict[str, Any]:
        """Return slug, folder, description and tags of a new prompt, as typed."""
        self.is_valid()
        names = ("slug", "folder", "description", "tags")
        return {name: self.cleaned_data.get(name) or ([] if name == "tags" else "") for name in names}

    def sample_values(self) -> dict[str, Any]:
        """Return the values to try, by variable."""
        self.is_valid()
        values: dict[str, Any] = of_type(self.cleaned_data.get("values"), dict, {})
        return values

    def problems(self) -> dict[str, list[str]]:
        """Return what could not be read, by field."""
        self.is_valid()
        return {name: [str(text) for text in texts] for name, texts in self.errors.items()}


def pretty_json(value: Any) -> str:
    """JSON for a text field that people edit; empty for None."""
    return "" if value is None else json.dumps(value, ensure_ascii=False, indent=2)


def plain_json(value: Any) -> str:
    """A value for reading: a text as it is, anything else as JSON in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def of_type(value: Any, expected: type, otherwise: Any) -> Any:
    """Return a value of JSON where it has the expected type: drafts may hold anything."""
    return value if isinstance(value, expected) else otherwise
