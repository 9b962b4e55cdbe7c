"""`manage.py up` with real processes: an empty directory, a second one, a dead child, Ctrl-C, a kill, a normal user."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from promptops.core.installation import Installation
from promptops.management.services.postgres import PostgresService
from tests.web import ROOT, free_port

# One first start for all of them, so all of them in one test process.
pytestmark = [pytest.mark.xdist_group("up"), pytest.mark.timeout(400)]

READY_SECONDS = 90.0  # a second start needs three, alone on two cores
NOBODY = 65534
# Like a checkout of a person: deep below folders with spaces and other letters.
DEEP = "Über den Wolken/a folder with spaces/" + "/".join(["deep-inside-of-a-tree"] * 4)


@dataclass
class Up:
    """One `manage.py up`, and what it said."""

    data_dir: Path
    output: Path
    as_user: list[str] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Up:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.as_user, *command("up", self.data_dir, "--port", str(self.port))],
                cwd=ROOT,
                env=environment(self.data_dir),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def wait_for(self, pattern: str, seconds: float = READY_SECONDS) -> re.Match[str]:
        assert self.process is not None
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said)):
            assert self.process.poll() is None, f"up ended:\n{self.said}"
            assert time.monotonic() < end, f"no {pattern!r} in:\n{self.said}"
            time.sleep(0.05)
        return found

    def wait_until_ready(self) -> Up:
        self.wait_for(r"Everything is ready \([\d.]+ s\)")
        assert self.get("/readyz").status_code == 200
        return self

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=30)

    def end(self, number: signal.Signals) -> int:
        """Send a signal; return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def clear_away(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.end(signal.SIGTERM)
            self.process.kill()
            self.process.wait()
        # PostgreSQL's files may lie elsewhere, when its user cannot enter the data directory.
        cluster = PostgresService(Installation.at(self.data_dir)).cluster()
        if cluster is not None and not cluster.is_relative_to(self.data_dir):
            shutil.rmtree(cluster.parent, ignore_errors=True)
        shutil.rmtree(Installation.at(self.data_dir).sockets, ignore_errors=True)


def command(name: str, data_dir: Path, *arguments: str) -> list[str]:
    return [sys.executable, "manage.py", name, "--data-dir", str(data_dir), *arguments]


def environment(data_dir: Path) -> dict[str, str]:
    """A person's terminal: nothing of the tests' own installation is in it."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, "HOME": "/nonexistent", "HF_HUB_OFFLINE": "1", "STATIC_ROOT": str(data_dir / "staticfiles")}


def manage(name: str, data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(name, data_dir, *arguments),
        cwd=ROOT,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def processes_of(data_dir: Path) -> dict[int, str]:
    """Every process that has to do with the data directory, by its environment or its arguments (Linux)."""
    marks = [os.fsencode(data_dir), os.fsencode(Installation.at(data_dir).sockets)]
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            arguments = (entry / "cmdline").read_bytes()
            if arguments and any(mark in arguments + (entry / "environ").read_bytes() for mark in marks):
                found[int(entry.name)] = arguments.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def wait_until_none_is_left(data_dir: Path, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while left := processes_of(data_dir):
        assert time.monotonic() < end, f"left behind: {left}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """A place that every user may enter, as /tmp/pytest-of-root is not."""
    made = Path(tempfile.mkdtemp(prefix="promptops-up-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def running(directory: Path) -> Iterator[Up]:
    """The first start of all, on a directory that does not exist yet, at the end of a long path."""
    data_dir = directory / DEEP / "var"
    assert len(str(data_dir / "postgres/.s.PGSQL.5432")) > 107, "longer than a Unix socket's path may be"
    up = Up(data_dir, directory / "first.txt").start()
    yield up.wait_until_ready()
    up.clear_away()


# --- The first start -----------------------------------------------------------------------------------------------


def test_it_starts_everything_in_an_empty_directory(running: Up) -> None:
    parts = running.get("/readyz").json()["parts"]
    assert set(parts) == {"database", "broker", "migrations", "worker-api", "worker-local"}
    assert all(part["ok"] for part in parts.values())
    names = " ".join(processes_of(running.data_dir).values())
    for name in ("granian", "valkey-server", "postgres", "celery -A promptops beat", "--queues api", "--queues local"):
        assert name in names, f"{name} does not run"


def test_it_says_where_everything_is(running: Up) -> None:
    assert re.search(rf"Open +http://127\.0\.0\.1:{running.port}\n", running.said)
    assert re.search(rf"Data +{re.escape(str(running.data_dir))}\n", running.said)
    assert "Ctrl-C" in running.said
    assert "Traceback" not in running.said


def test_its_link_signs_somebody_in_once(running: Up) -> None:
    path = re.search(r"Sign in +http://127\.0\.0\.1:\d+(/link/\S+)", running.said)
    assert path, running.said
    with httpx2.Client(base_url=f"http://127.0.0.1:{running.port}", follow_redirects=True, timeout=30) as browser:
        browser.get("/sign-in/")
        page = browser.get(path[1])
        # Opening is not yet signing in: chat programs open links too. The page has a button.
        form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert form, page.text[:500]
        browser.post(path[1], data={"csrfmiddlewaretoken": form[1]}, headers={"Referer": str(browser.base_url)})
        assert "sessionid" in browser.cookies
    assert "sessionid" not in httpx2.get(f"http://127.0.0.1:{running.port}{path[1]}", timeout=30).cookies


def test_its_secrets_are_for_its_owner_alone(running: Up) -> None:
    assert stat.S_IMODE((running.data_dir / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(running.data_dir.stat().st_mode) in (0o700, 0o711)


def test_it_listens_on_the_loopback_address_alone(running: Up) -> None:
    """Only the web server has a port, and only here: the databases have none."""
    mine = set()
    for pid in processes_of(running.data_dir):
        with contextlib.suppress(OSError):
            mine |= {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and f"socket:[{columns[9]}]" in mine:
                listening.append(columns[1])
    assert set(listening) == {f"0100007F:{running.port:04X}"}


def test_a_second_one_on_the_same_directory_says_so_and_ends(running: Up) -> None:
    second = manage("up", running.data_dir, "--port", str(free_port()))
    assert second.returncode == 1
    assert f"runs already for {running.data_dir}: http://127.0.0.1:{running.port}" in second.stderr
    assert f"process {running.pid}" in second.stderr
    assert "--data-dir" in second.stderr
    assert running.get("/healthz").status_code == 200


def test_another_one_on_the_same_port_says_so_and_ends(running: Up, directory: Path) -> None:
    other = manage("up", directory / "other", "--port", str(running.port))
    assert other.returncode == 1
    assert f"Port {running.port} on 127.0.0.1 cannot be used" in other.stderr
    assert f"--port {running.port + 1}" in other.stderr
    assert processes_of(directory / "other") == {}


def test_it_prints_a_token_and_nothing_else(running: Up) -> None:
    made = manage("token", running.data_dir, "--project", "demo", "--role", "admin", "--name", "x")
    assert made.returncode == 0, made.stderr
    assert re.fullmatch(r"po_[\w-]{43}\n", made.stdout)
    assert made.stderr == ""
    answer = running.get("/api/v1/prompts", Authorization=f"Bearer {made.stdout.strip()}")
    assert answer.status_code == 200
    assert answer.json()["items"], "the demo project has prompts"


def test_it_says_which_projects_there_are_when_asked_for_another(running: Up) -> None:
    refused = manage("token", running.data_dir, "--project", "nothing", "--name", "x")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "There are: demo" in refused.stderr


@pytest.mark.parametrize(("name", "mark"), [("web", "granian"), ("worker-api", "--queues api")])
def test_it_starts_a_dead_child_again_and_says_so(running: Up, name: str, mark: str) -> None:
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    found = processes_of(running.data_dir)
    (victim,) = [int(pid) for pid in children if mark in found.get(int(pid), "")]
    os.kill(victim, signal.SIGKILL)
    running.wait_for(rf"(?m)^{name} was killed \(SIGKILL\); starting it again in \d+ s \(see .*{name}\.log\)$")
    running.wait_for(rf"(?m)^{name} was started again$")
    end = time.monotonic() + READY_SECONDS
    while True:
        with contextlib.suppress(httpx2.TransportError):
            if running.get("/readyz").status_code == 200:
                break
        assert time.monotonic() < end
        time.sleep(0.1)
    assert victim not in processes_of(running.data_dir)


# --- Stopping and starting again -----------------------------------------------------------------------------------


def test_it_stops_in_order_and_starts_again_whatever_happened(directory: Path) -> None:
    data_dir = directory / "again"
    data_dir.mkdir(mode=0o700)
    (data_dir / "demo-made").touch()  # the demo project is not what this is about
    up = Up(data_dir, directory / "again.txt").start()
    try:
        up.wait_until_ready()
        assert up.end(signal.SIGINT) == 0
        assert up.said.rstrip().endswith("Stopped."), up.said
        assert "did not stop" not in up.said
        wait_until_none_is_left(data_dir, seconds=1)
        with pytest.raises(httpx2.ConnectError):
            up.get("/healthz")

        prepared = (data_dir / "prepared").stat().st_mtime_ns
        up.start().wait_until_ready()
        assert (data_dir / "prepared").stat().st_mtime_ns == prepared, "what was done before is not done again"

        # The supervisor is killed and can say nothing: its children notice by themselves.
        assert up.end(signal.SIGKILL) == -signal.SIGKILL
        wait_until_none_is_left(data_dir)
        up.start().wait_until_ready()
        assert up.end(signal.SIGTERM) == 0
        wait_until_none_is_left(data_dir, seconds=1)
    finally:
        up.clear_away()


# --- As somebody else ----------------------------------------------------------------------------------------------


def test_it_works_as_a_normal_user(directory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the tests run as a normal user already: every other test here shows it")
    data_dir = directory / "of nobody"
    data_dir.mkdir()
    (data_dir / "demo-made").touch()
    for path in (data_dir, data_dir / "demo-made"):
        os.chown(path, NOBODY, NOBODY)
    output = directory / "nobody.txt"
    up = Up(data_dir, output, as_user=as_nobody()).start()
    try:
        up.wait_until_ready()
        owners = {Path(f"/proc/{pid}").stat().st_uid for pid in processes_of(data_dir)}
        assert owners == {NOBODY}, "PostgreSQL too: no other user is needed"
        assert (data_dir / "postgres" / "PG_VERSION").exists()
        assert {path.stat().st_uid for path in data_dir.iterdir()} == {NOBODY}
        assert up.end(signal.SIGTERM) == 0
        wait_until_none_is_left(data_dir, seconds=1)
    finally:
        up.clear_away()


def as_nobody() -> list[str]:
    """How to start a command as `nobody`: who may read this checkout's Python, even where it lies in root's home."""
    plain = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    reading = [*plain, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    # A Python that cannot be entered may turn out to be another one that can.
    ours = f"import django, sys; sys.exit(sys.version != {sys.version!r})"
    for way in (plain, reading):
        done = subprocess.run([*way, sys.executable, "-c", ours], capture_output=True, cwd=ROOT, check=False)
        if done.returncode == 0:
            return way
    pytest.skip("`nobody` cannot run this Python, and setpriv may not let it read")
