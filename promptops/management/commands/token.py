"""`token`: a new API token for a script, printed and nothing else."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from promptops.accounts.actors import SYSTEM
from promptops.accounts.models import Project, Role
from promptops.accounts.tokens import SCOPES_OF_ROLE, create_token
from promptops.core.errors import AppError


class Command(BaseCommand):
    help = "Make an API token for a project and print it: this is the only time it can be seen."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, help="The project's slug.")
        parser.add_argument("--role", default=Role.EDITOR.value, choices=[role.value for role in SCOPES_OF_ROLE])
        parser.add_argument("--name", required=True, help="Which service uses it.")
        parser.add_argument("--data-dir", help="The data directory (default: DATA_DIR, or var).")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            slugs = ", ".join(Project.objects.order_by("slug").values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no project {options['project']!r}. There are: {slugs}.")
        try:
            _token, secret = create_token(SYSTEM, project, name=options["name"], role=options["role"])
        except AppError as error:
            raise CommandError(f"{error.detail} {getattr(error, 'errors', '') or ''}".strip()) from error
        self.stdout.write(secret)
