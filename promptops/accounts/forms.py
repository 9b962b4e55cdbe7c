"""The forms of people and projects. They check shape; what is allowed is up to the services."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from promptops.accounts.models import Role, User
from promptops.accounts.presenters import ACCESSES, role_choices


class SignInForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class NewPasswordField(forms.CharField):
    """A password that is chosen now: typed once, with the rule beside it; managers fill it in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_length=1000,
            strip=False,
            widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
            help_text=_("At least 10 characters, and not a common one."),
            **options,
        )


class SignUpForm(forms.Form):
    name = forms.CharField(
        label=_("Name"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True})
    )
    email = forms.EmailField(
        label=_("E-mail"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username"})
    )
    password = NewPasswordField(label=_("Password"))


class ProfileForm(forms.Form):
    AS_BROWSER = "auto"

    name = forms.CharField(label=_("Name"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    theme = forms.ChoiceField(label=_("Theme"), choices=[(key, capfirst(label)) for key, label in User.Theme.choices])

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        choices = [(self.AS_BROWSER, _("As the browser asks")), *settings.LANGUAGES]
        self.fields["language"] = forms.ChoiceField(label=_("Language"), choices=choices)

    def clean_language(self) -> str:
        chosen: str = self.cleaned_data["language"]
        return "" if chosen == self.AS_BROWSER else chosen


class PasswordForm(forms.Form):
    """``current`` is left out for somebody who has no password yet, or who has just come in by a link."""

    current = forms.CharField(
        label=_("Present password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    password = NewPasswordField(label=_("New password"))

    def __init__(self, *args: Any, ask_current: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        if not ask_current:
            del self.fields["current"]


class ProjectForm(forms.Form):
    """A new project may leave the slug to be made of the name; one that is renamed has one."""

    name = forms.CharField(label=_("Name"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    slug = forms.CharField(
        label=_("Slug"),
        max_length=60,
        required=False,
        help_text=_("Stands in the project's links: lower-case letters, digits and hyphens."),
        widget=forms.TextInput(
            attrs={"class": "mono", "spellcheck": "false", "autocapitalize": "none", "autocomplete": "off"}
        ),
    )
    description = forms.CharField(
        label=_("Description"), max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, *args: Any, renaming: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        if renaming:
            self.fields["slug"].required = True
            self.fields["slug"].help_text = _(
                "Links to this project's pages change with it; old ones lead there. Calls of the REST API go on: "
                "there the token names the project."
            )


class InvitationForm(forms.Form):
    note = forms.CharField(
        label=_("For whom"),
        max_length=120,
        required=False,
        help_text=_("A note to yourselves, shown in the list below."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, roles: list[Role], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["role"] = forms.ChoiceField(
            label=_("Role"), choices=role_choices(roles), initial=Role.EDITOR, widget=forms.RadioSelect
        )


class RoleForm(forms.Form):
    def __init__(self, *args: Any, roles: list[Role], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["role"] = forms.ChoiceField(label=_("Role"), choices=role_choices(roles), widget=forms.RadioSelect)


class TokenForm(forms.Form):
    """What a token is for; role and scopes follow from it (REST takes any combination)."""

    LIVES = {"30": _("in 30 days"), "90": _("in 90 days"), "365": _("in a year"), "never": _("never")}

    name = forms.CharField(
        label=_("Name"),
        max_length=120,
        help_text=_("Which service uses it, such as “checkout”."),
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
    )
    access = forms.ChoiceField(
        label=_("It may"),
        choices=[(one.key, one.label) for one in ACCESSES],
        initial="run",
        widget=forms.RadioSelect,
    )
    days = forms.ChoiceField(label=_("It expires"), choices=list(LIVES.items()), initial="90")

    def options(self) -> dict[str, Any]:
        """Return what ``create_token`` takes."""
        access = next(one for one in ACCESSES if one.key == self.cleaned_data["access"])
        days = self.cleaned_data["days"]
        return {
            "name": self.cleaned_data["name"],
            "role": access.role.value,
            "scopes": [scope.value for scope in access.scopes],
            "expires_at": None if days == "never" else timezone.now() + dt.timedelta(days=int(days)),
        }
