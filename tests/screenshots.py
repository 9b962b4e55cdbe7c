"""The pictures of the README: `python -m tests.screenshots` starts a fresh installation with its demo and takes them.

Nothing in them is arranged but the window: the demo's runs have been executed by its worker; the run in the editor is
started here, by its keys, and the one on the page of a run by REST.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from tests import chromium

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
WINDOW = (1280, 800)
MAX_BYTES = 200_000
UP_SECONDS = 180.0
RUNS_SECONDS = 300.0


@dataclass(frozen=True)
class Installation:
    """A running installation: where it is, a one-time way in, and a token of the demo project."""

    url: str
    sign_in: str
    token: str

    def call(self, path: str, body: Any = None) -> Any:
        """GET, or POST where there is a body."""
        request = urllib.request.Request(  # noqa: S310 (our own server on loopback)
            f"{self.url}/api/v1{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310
            return json.load(answer)


def main() -> int:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="promptops-screenshots-") as directory, installed(Path(directory)) as here:
        _say("Waiting for the demo's runs …")
        _wait(lambda: not _unfinished(here), RUNS_SECONDS, "the demo's runs")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium.executable(), args=chromium.launch_arguments()
            )
            width, height = WINDOW
            page = browser.new_page(viewport={"width": width, "height": height}, base_url=here.url)
            _sign_in(page, here.sign_in)
            for name, take in PICTURES.items():
                take(page, here)
                _save(page, name)
            browser.close()
    return 0


def editor(page: Page, here: Installation) -> None:
    """A prompt in the editor, and a run of it that has just been streamed."""
    page.goto("/p/demo/prompts/support-reply/")
    expect(page.locator(".cm-content").first).to_be_visible()
    page.keyboard.press("Control+Enter")
    panel = page.locator(".run-panel")
    expect(panel).to_have_attribute("data-status", "succeeded", timeout=120_000)


def run(page: Page, here: Installation) -> None:
    """One run with its output and lineage, as a service made it."""
    history = [
        {"role": "user", "content": "The kettle I bought from you leaks when it boils."},
        {"role": "assistant", "content": "Then the seal is broken. I will send you a new kettle today."},
    ]
    body = {"prompt": "conversation-summary", "label": "production", "variables": {"history": history}, "wait": 60}
    page.goto(f"/p/demo/runs/{here.call('/runs', body)['id']}/")
    page.wait_for_timeout(1000)  # the graph draws itself
    page.locator(".lineage-canvas").evaluate("one => one.scrollIntoView({block: 'end'})")
    page.mouse.wheel(0, 12)


PICTURES: dict[str, Callable[[Page, Installation], None]] = {"editor": editor, "run": run}


@contextlib.contextmanager
def installed(directory: Path) -> Iterator[Installation]:
    """`manage.py up` in a directory of its own, for as long as the context lasts."""
    port = _free_port()
    environment = {
        **os.environ,
        "DATA_DIR": str(directory),
        "PORT": str(port),
        "STATIC_MANIFEST": "0",
        "HF_HUB_OFFLINE": "1",
    }
    for name in ("DATABASE_URL", "VALKEY_URL", "PUBLIC_URL", "DEBUG"):
        environment.pop(name, None)
    log = directory / "up.log"
    _say("Starting an installation …")
    with log.open("w") as output:
        command = [sys.executable, "manage.py", "up"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait(lambda: "Everything is ready" in log.read_text() or process.poll() is not None, UP_SECONDS, "starting")
        if process.poll() is not None:
            raise SystemExit(f"It did not start:\n{log.read_text()}")
        link = re.search(r"/link/\S+", log.read_text())
        made = subprocess.run(
            [sys.executable, "manage.py", "token", "--project", "demo", "--role", "editor", "--name", "screenshots"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        yield Installation(f"http://127.0.0.1:{port}", link[0] if link else "", made.stdout.strip())
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _unfinished(here: Installation) -> bool:
    return any(here.call(f"/runs?status={status}&limit=1")["items"] for status in ("queued", "running"))


def _sign_in(page: Page, link: str) -> None:
    page.goto(link)
    page.locator("main button[type=submit]").click()
    page.wait_for_url(re.compile(r"/p/demo/|/projects/|/$"))


def _save(page: Page, name: str) -> None:
    path = IMAGES / f"{name}.png"
    expect(page.locator(".htmx-request")).to_have_count(0)
    page.wait_for_timeout(300)
    page.screenshot(path=path)
    size = path.stat().st_size
    _say(f"{path.relative_to(ROOT)}: {size / 1000:.0f} kB")
    if size > MAX_BYTES:
        raise SystemExit(f"{path} is larger than {MAX_BYTES // 1000} kB.")


def _wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"Gave up on {what} after {seconds:.0f} s.")
        time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
