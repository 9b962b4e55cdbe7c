"""The forms of the run pages. They parse; what the values mean is checked by the services."""

from __future__ import annotations

from typing import Any

from django import forms

from promptops.prompts.forms import MAX_NUMBER, EditorForm

CONTENT_FIELDS = ("kind", "syntax", "messages", "variables", "parameters", "output_schema", "values")


class RunForm(EditorForm):
    """The editor's form when it asks for a run: of a saved ``version``, or of the text as it stands in the editor.

    ``prompt`` is empty while the prompt was never saved.
    """

    prompt = forms.CharField(required=False, max_length=100)
    version = forms.IntegerField(min_value=1, max_value=MAX_NUMBER, required=False)

    def unreadable(self) -> dict[str, list[str]]:
        """Return what of the content is no JSON, by field: a run must not quietly leave it out."""
        problems = self.problems()
        return {name: problems[name] for name in CONTENT_FIELDS if name in problems}

    def asked(self) -> dict[str, Any]:
        """Return ``prompt``, ``version`` and ``endpoint`` as asked for; empty ones are None."""
        self.is_valid()
        return {name: self.cleaned_data.get(name) or None for name in ("prompt", "version", "endpoint")}
