"""The forms of the review pages. What they hold is checked by the services; here it only gets its type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from promptops.accounts.models import User
from promptops.prompts.forms import MAX_NUMBER
from promptops.prompts.models import Prompt
from promptops.prompts.services.labels import NAME
from promptops.reviews.models import MAX_APPROVALS, ReviewComment
from promptops.reviews.services.changes import MAX_TEXT, MAX_TITLE

CHECK_NAMES = {
    "lint": _("Lint: the candidate has no mistakes"),
    "contract": _("Contract: callers need not change anything"),
}
HOLDS = ((0, _("none")), (1, _("1 hour")), (4, _("4 hours")), (24, _("1 day")), (72, _("3 days")), (168, _("7 days")))


def check_name(name: str) -> str:
    """What a check is called, without what it asks for."""
    return str(CHECK_NAMES.get(name, name)).split(":", maxsplit=1)[0]


class PeopleField(forms.MultipleChoiceField):
    """Checkboxes of people; the cleaned value is a list of users."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, people: Iterable[User] = (), **options: Any) -> None:
        super().__init__(required=False, **options)
        self.offer(people)

    def offer(self, people: Iterable[User]) -> None:
        self.people = {str(person.pk): person for person in people}
        self.choices = [(pk, person.name) for pk, person in self.people.items()]

    def clean(self, value: Any) -> list[User]:
        return [self.people[pk] for pk in super().clean(value)]


class PeopleForm(forms.Form):
    """A form that asks for people, out of those that are given."""

    def __init__(self, *args: Any, people: Iterable[User] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            if isinstance(field, PeopleField):
                field.offer(people)


class RequestForm(PeopleForm):
    """What a change request says of itself."""

    title = forms.CharField(label=_("Title"), max_length=MAX_TITLE, required=False)
    description = forms.CharField(
        label=_("What changes, and why"),
        max_length=MAX_TEXT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
    )
    reviewers = PeopleField(label=_("Reviewers"))


class ProposeForm(RequestForm):
    """Which version shall stand under which label."""

    version = forms.IntegerField(label=_("Version"), min_value=1, max_value=MAX_NUMBER, widget=forms.Select)
    label = forms.CharField(label=_("Label"), max_length=60, widget=forms.Select)
    draft = forms.BooleanField(label=_("It is a draft: do not ask for a review yet"), required=False)

    field_order = ["label", "version", "title", "description", "reviewers", "draft"]


class CommentForm(forms.Form):
    """A remark: on the whole, on a line of a message, or as a reply."""

    body = forms.CharField(max_length=MAX_TEXT, required=False)
    message_index = forms.IntegerField(min_value=0, max_value=MAX_NUMBER, required=False)
    line = forms.IntegerField(min_value=1, max_value=MAX_NUMBER, required=False)
    side = forms.ChoiceField(choices=ReviewComment.Side.choices, required=False)
    suggests = forms.BooleanField(required=False)
    suggestion = forms.CharField(max_length=MAX_TEXT, required=False, strip=False)
    reply_to = forms.IntegerField(min_value=1, max_value=2**62, required=False)


class VerdictForm(forms.Form):
    """What a reviewer says of the version that the page showed (``expected``)."""

    APPROVE, REQUEST_CHANGES, COMMENT = "approve", "request_changes", "comment"

    kind = forms.ChoiceField(
        choices=[(APPROVE, _("Approve")), (REQUEST_CHANGES, _("Request changes")), (COMMENT, _("Comment"))]
    )
    body = forms.CharField(max_length=MAX_TEXT, required=False)
    expected = forms.IntegerField(min_value=1, max_value=MAX_NUMBER, required=False)


class PolicyForm(forms.Form):
    """What moving a label needs, and where that holds: in the project, below a folder, or for one prompt."""

    label = forms.RegexField(
        rf"^{NAME.pattern}$",
        label=_("Label"),
        max_length=60,
        help_text=_("Such as “production”."),
        error_messages={
            "invalid": _("Use lower-case letters, digits, hyphens and underscores, at most 60, such as “production”.")
        },
    )
    folder = forms.CharField(
        label=_("Only below the folder"), max_length=200, required=False, help_text=_("Empty: the whole project.")
    )
    prompt = forms.CharField(
        label=_("Only for the prompt"), max_length=100, required=False, help_text=_("Its slug; then no folder.")
    )
    protected = forms.BooleanField(label=_("Protected: it moves by an approved change request alone"), required=False)
    required_approvals = forms.IntegerField(
        label=_("Approvals"), min_value=1, max_value=MAX_APPROVALS, help_text=_("Authors do not count.")
    )
    owners_required = forms.BooleanField(label=_("An owner of the folder must be among them"), required=False)
    checks = forms.MultipleChoiceField(
        label=_("Checks that must pass"),
        choices=list(CHECK_NAMES.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    hold_hours = forms.TypedChoiceField(label=_("Wait after the last approval"), choices=HOLDS, coerce=int)

    def __init__(self, *args: Any, prompts: dict[str, Prompt] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.prompts = prompts or {}

    def clean_prompt(self) -> Prompt | None:
        slug = self.cleaned_data["prompt"].strip()
        if slug and slug not in self.prompts:
            raise forms.ValidationError(_("This project has no such prompt."))
        return self.prompts.get(slug)


class OwnersForm(PeopleForm):
    """Who answers for a folder."""

    folder = forms.CharField(
        label=_("Folder"),
        max_length=200,
        required=False,
        help_text=_("Such as “support”; empty is the whole project."),
    )
    people = PeopleField(label=_("Owners"))
