"""`sign_in_link`: a one-time way in, for the first person of an installation and for a lost password."""

from __future__ import annotations

import json
import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from promptops.accounts.models import User
from promptops.accounts.services import create_sign_in_link, create_user
from promptops.core.errors import Invalid


class Command(BaseCommand):
    help = "Print a link that signs a person in once, within an hour. With --name the person is made where unknown."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True, help="Whom the link signs in.")
        parser.add_argument("--name", help="Make this person where nobody has that e-mail address.")
        parser.add_argument("--data-dir", help="The data directory (default: DATA_DIR, or var).")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(email__iexact=options["email"].strip()).first()
        if person is None:
            person = self._new_person(options["email"], options["name"])
        if not person.is_active:
            raise CommandError(f"{person.email} is deactivated.")
        self.stdout.write(f"{installation_url()}/link/{create_sign_in_link(person)}/")

    def _new_person(self, email: str, name: str | None) -> User:
        if not name:
            raise CommandError(f"Nobody has the address {email}. To make an account for it, add --name 'Their name'.")
        try:
            return create_user(email=email, name=name)
        except Invalid as error:
            texts = " ".join(text for texts in error.errors.values() for text in texts)
            raise CommandError(f"{error.detail} {texts}") from error


def installation_url() -> str:
    """Where people reach this installation: what PUBLIC_URL says, else where `manage.py up` listens just now."""
    if not os.environ.get("PUBLIC_URL"):
        try:
            held = json.loads((settings.INSTALLATION.data_dir / "up.lock").read_text())
            return str(held["url"])
        except (OSError, ValueError, KeyError):
            pass
    return str(settings.PUBLIC_URL)
