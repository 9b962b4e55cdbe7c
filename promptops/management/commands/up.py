"""`up`: everything on this machine with one command."""

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections
from django.db.migrations.recorder import MigrationRecorder

from promptops.core.installation import Installation, InstallationError
from promptops.engines.local_model import EMBEDDED_MODEL, HOW_TO_ADD, find_embedded_gguf, is_converted
from promptops.management.services.children import Children
from promptops.management.services.postgres import PostgresService
from promptops.management.services.supervisor import Supervisor

READY_SECONDS = 120.0


class Command(BaseCommand):
    help = "Start PostgreSQL, Valkey, the web server, the workers and beat on this machine, and keep them alive."
    # The checks run below, once the services are there and the screen is ours.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port", type=int, help="The port of the web server on 127.0.0.1 (default: PORT, or 8000)."
        )
        parser.add_argument("--data-dir", help="Where everything is kept (default: DATA_DIR, or var).")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        self.installation: Installation = settings.INSTALLATION
        self.port: int = options["port"] or int(os.environ.get("PORT", "").strip() or 8000)
        self.children = Children(self.installation, self.port)
        try:
            self.installation.make_directories()
            with self._only_one():
                self._refuse_taken_port()
                self._run(began)
        except InstallationError as error:
            raise CommandError(str(error)) from error

    def _run(self, began: float) -> None:
        supervisor = Supervisor(self._say, self.installation.logs)
        supervisor.listen()
        try:
            for child in self.children.services(database=settings.EMBEDDED_DATABASE, broker=settings.EMBEDDED_VALKEY):
                supervisor.start(child)
            if not self._is_prepared() and not supervisor.stopping:
                self._prepare()
            for child in self.children.application():
                if not supervisor.stopping:
                    supervisor.start(child)
            self._announce(supervisor, began)
            for child in self.children.late():
                if not supervisor.stopping:
                    supervisor.start(child)
            if not supervisor.stopping:
                self._prepare_model(supervisor)
            supervisor.watch(until=lambda: False)
        finally:
            self._say("Stopping …")
            supervisor.stopping = True
            supervisor.stop_all()
            self._say("Stopped.")

    # --- Before the children ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        """One supervisor a data directory; the lock goes with the process, however it ends."""
        with (self.installation.data_dir / "up.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                with contextlib.suppress(ValueError):
                    holder = json.loads(lock.read())
                    raise CommandError(
                        f"PromptOps runs already for {self.installation.data_dir}: {holder['url']} "
                        f"(process {holder['pid']}). To run another one, choose another --data-dir and --port."
                    ) from None
                raise CommandError(f"PromptOps runs already for {self.installation.data_dir}.") from None
            lock.truncate(0)
            lock.write(json.dumps({"pid": os.getpid(), "url": self._url()}))
            lock.flush()
            yield

    def _refuse_taken_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                raise CommandError(
                    f"Port {self.port} on 127.0.0.1 cannot be used ({error.strerror}). "
                    f"Choose another: --port {self.port + 1}, or PORT={self.port + 1}."
                ) from None

    def _is_prepared(self) -> bool:
        """Whether everything was done before by this same code: a second's work that a second start can save.

        The database is asked too: it may have been restored from an older dump.
        """
        with contextlib.suppress(FileNotFoundError, DatabaseError):
            if self._stamp().read_text() == _fingerprint() and not self._static_is_stale():
                applied = MigrationRecorder(connections["default"]).applied_migrations()
                return all((path.parts[-3], path.stem) in applied for path in _migrations())
        return False

    def _stamp(self) -> Path:
        return self.installation.data_dir / "prepared"

    def _prepare(self) -> None:
        """Database schema, static files, and at the very first start the demo project."""
        self.check()
        if "owner" in settings.DATABASES:
            call_command("migrate", verbosity=0, interactive=False)
        if self._static_is_stale():
            call_command("collectstatic", verbosity=0, interactive=False)
        self._make_demo_once()
        connections.close_all()
        self._stamp().write_text(_fingerprint())

    def _static_is_stale(self) -> bool:
        manifest: Path = settings.STATIC_ROOT / "staticfiles.json"
        fresh = manifest.exists() and manifest.stat().st_mtime >= _newest_static()
        return bool(settings.STATIC_MANIFEST and not fresh)

    def _make_demo_once(self) -> None:
        from promptops.accounts.models import User

        mark = self.installation.data_dir / "demo-made"
        if mark.exists() or User.objects.exists():
            return
        if "demo" in get_commands():
            self._say("First start: making the demo project …")
            call_command("demo", verbosity=0)
        mark.touch()

    def _prepare_model(self, supervisor: Supervisor) -> None:
        """The embedded model is converted at the first start, while a person looks around."""
        if is_converted(settings.LOCAL_MODELS_DIR / EMBEDDED_MODEL):
            return
        if find_embedded_gguf() is None:
            self._say(f"The embedded model is not installed; everything else works without it. {HOW_TO_ADD}")
        else:
            self._say("Preparing the embedded model (once, some seconds) …")
            supervisor.start(self.children.model())

    # --- The screen ------------------------------------------------------------------------------------------------

    def _announce(self, supervisor: Supervisor, began: float) -> None:
        """Wait for the web server, say where it is, and then what is still missing."""
        supervisor.watch(until=lambda: self._ask("/healthz")[0] == 200)
        if supervisor.stopping:
            return
        self._screen()
        end = time.monotonic() + READY_SECONDS
        parts: dict[str, Any] = {}

        def ready() -> bool:
            status, content = self._ask("/readyz")
            parts.update(content)
            return status == 200 or time.monotonic() > end

        supervisor.watch(until=ready)
        if supervisor.stopping:
            return
        missing = [name for name, part in parts.get("parts", {}).items() if not part["ok"]]
        if missing:
            self._say(f"Not ready yet: {', '.join(missing)}. See {self._url()}/readyz and {self.installation.logs}.")
        else:
            self._say(f"Everything is ready ({time.monotonic() - began:.1f} s).")

    def _screen(self) -> None:
        lines = [
            "",
            "  PromptOps",
            "",
            f"  Open      {self._url()}",
            *self._sign_in_lines(),
            f"  Data      {self.installation.data_dir}",
        ]
        if settings.EMBEDDED_DATABASE:
            cluster = PostgresService(self.installation).cluster()
            if cluster is not None and not cluster.is_relative_to(self.installation.data_dir):
                lines.append(f"  Database  {cluster} (PostgreSQL's system user cannot enter the data directory)")
        lines += [f"  Logs      {self.installation.logs}", "  Stop      Ctrl-C", ""]
        self._say("\n".join(lines))

    def _sign_in_lines(self) -> list[str]:
        from promptops.accounts.models import Membership, Role, User
        from promptops.accounts.services import create_sign_in_link

        owner = Membership.objects.filter(role=Role.OWNER, user__is_active=True).order_by("pk").first()
        person = owner.user if owner else User.objects.filter(is_active=True).order_by("pk").first()
        try:
            if person is None:
                data = shlex.quote(str(self.installation.data_dir))
                return [
                    f"  Sign in   {shlex.quote(sys.executable)} manage.py sign_in_link --data-dir {data} \\",
                    '            --email you@example.com --name "Your name"',
                ]
            return [
                f"  Sign in   {self._url()}/link/{create_sign_in_link(person)}/",
                f"            once, as {person.email}",
            ]
        finally:
            connections.close_all()

    def _ask(self, path: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            content = json.loads(answer.read())
            return answer.status, content if isinstance(content, dict) else {}
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()

    def _url(self) -> str:
        return str(settings.PUBLIC_URL) if os.environ.get("PUBLIC_URL") else f"http://127.0.0.1:{self.port}"

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _fingerprint() -> str:
    """Changes with every migration that is added or edited."""
    digest = hashlib.sha256(django.__version__.encode())
    for path in _migrations():
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _migrations() -> list[Path]:
    return sorted(Path(settings.BASE_DIR, "promptops").glob("*/migrations/[0-9]*.py"))


def _newest_static() -> float:
    """The time of the newest source; a folder's own time tells of files that were removed."""
    folders = [Path(folder) for _prefix, folder in settings.STATICFILES_DIRS]
    return max(
        (path.stat().st_mtime for folder in folders for path in [folder, *folder.rglob("*")] if path.exists()),
        default=0.0,
    )
