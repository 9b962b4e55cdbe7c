"""`demo`: the demo project, made or brought back."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from promptops.accounts.models import Role
from promptops.core.errors import AppError
from promptops.management.demo.making import SLUG, make_demo, set_aside


class Command(BaseCommand):
    help = (
        "Make the demo project: a member per role, three prompts with their history, and runs on the embedded model. "
        "Where it exists, its members, prompts and labels are brought back to how they were; what people added stays. "
        "Versions and runs never change, so for a fresh one use --anew."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--anew",
            action="store_true",
            help="Set the present demo project aside under another name (demo-1, demo-2 …) and make a new one.",
        )
        parser.add_argument("--data-dir", help="The data directory (default: DATA_DIR, or var).")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            aside = set_aside() if options["anew"] else None
            project = make_demo()
        except AppError as error:
            raise CommandError(f"{error.detail} {getattr(error, 'errors', '') or ''}".strip()) from error
        if options["verbosity"] < 1:
            return
        if aside is not None:
            self.stdout.write(f"The demo project from before is {aside.slug!r} now.")
        self.stdout.write(
            f"The demo project {project.slug!r} is ready. Its runs are executed by the worker of the queue “local”.\n"
            f"A way in: manage.py sign_in_link --email {Role.OWNER.value}@{SLUG}.example"
        )
