"""What the forms of every app share."""

from __future__ import annotations

from django import forms

from promptops.core.errors import AppError, Invalid


def put_errors(form: forms.Form, error: AppError) -> None:
    """Show a service's refusal on the form: beside the fields that it names, else above.

    A path such as ``messages.0.role`` belongs to the field ``messages``.
    """
    named = error.errors if isinstance(error, Invalid) else {}
    placed = False
    for path, texts in named.items():
        field = path.split(".")[0]
        if field in form.fields:
            form.add_error(field, [forms.ValidationError(text) for text in texts])
            placed = True
    if not placed or any(path.split(".")[0] not in form.fields for path in named):
        form.add_error(None, str(error.detail))
