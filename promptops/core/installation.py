"""One installation on this machine: its data directory, the secrets made for it, and where its sockets are.

Pure: no Django, so that settings, supervisor and tests all find the same services by the data directory alone.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import stat
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path

SOCKET_ROOT = Path("/tmp")  # noqa: S108  (the path of a Unix socket ends at about 107 bytes; ownership is checked below)


class InstallationError(Exception):
    """The data directory or the socket directory cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Secrets:
    """Made once for an installation that brings its own database; nobody has to invent them."""

    secret_key: str
    encryption_key: str
    database_superuser_password: str
    database_owner_password: str
    database_app_password: str

    def __repr__(self) -> str:
        return "Secrets(…)"


@dataclass(frozen=True)
class Installation:
    """The data directory and everything whose place follows from it."""

    data_dir: Path

    @classmethod
    def at(cls, data_dir: str | Path) -> "Installation":
        return cls(Path(data_dir).expanduser().resolve())

    @property
    def sockets(self) -> Path:
        """A short private directory for Unix sockets: the same for everyone who knows the data directory."""
        return SOCKET_ROOT / ("promptops-" + hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16])

    @property
    def postgres_sockets(self) -> Path:
        return self.sockets / "pg"

    @property
    def valkey_socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    def make_directories(self) -> None:
        """Create the data and the socket directory, closed to everybody else.

        Root's can be entered (not listed): PostgreSQL refuses to run as root, and its user must reach its folders.
        """
        mode = 0o711 if os.geteuid() == 0 else 0o700
        if not self.data_dir.exists():
            self.data_dir.mkdir(parents=True, mode=mode)
        self.logs.mkdir(exist_ok=True, mode=0o700)
        _make_private(self.sockets, mode)

    def load_secrets(self) -> Secrets:
        """The secrets of this installation, made at the first call (file mode 0600)."""
        path = self.data_dir / "secrets.json"
        with contextlib.suppress(FileNotFoundError):
            return _read_secrets(path)
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
        descriptor, temporary = tempfile.mkstemp(dir=self.data_dir, prefix=".secrets-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(asdict(_new_secrets()), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            # A link, not a rename: of two processes that start at once, the second takes the first one's secrets.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            os.unlink(temporary)
        return _read_secrets(path)


def _new_secrets() -> Secrets:
    return Secrets(
        secret_key=secrets.token_urlsafe(48),
        encryption_key=base64.urlsafe_b64encode(os.urandom(32)).decode(),  # the format of a Fernet key
        database_superuser_password=secrets.token_urlsafe(24),
        database_owner_password=secrets.token_urlsafe(24),
        database_app_password=secrets.token_urlsafe(24),
    )


def _read_secrets(path: Path) -> Secrets:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Secrets(**{field.name: content[field.name] for field in fields(Secrets)})
    except PermissionError as error:
        raise InstallationError(
            f"{path} belongs to another user: run this as the user who made the data directory."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InstallationError(f"{path} is not readable as secrets: restore it from a backup.") from error


def _make_private(path: Path, mode: int) -> None:
    """Create `path`, or make sure that it is really ours: anybody may create names in the socket root."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=mode)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise InstallationError(
            f"{path} belongs to another user. Remove it, or run this as the user who owns the data directory."
        )
    path.chmod(mode)
