"""The Chromium of the browser tests: found on the PATH, else installed; `python -m tests.chromium` makes sure of it."""

import contextlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW = """No Chromium for the browser tests, and none could be installed. Do one of these, then run the tests again:
  as root on Debian or Ubuntu:  apt-get install chromium fonts-noto-cjk
  as a user:                    {python} -m playwright install chromium
  or set CHROMIUM to the path of a Chromium or Chrome that you have."""


class NoChromium(Exception):
    """No browser: the message says how to get one."""


@cache
def executable() -> str:
    """The path of a Chromium. Raises NoChromium with advice; the browser tests fail then, they do not skip."""
    found = os.environ.get("CHROMIUM") or _on_path() or _of_playwright()
    if not found:
        raise NoChromium(HOW.format(python=sys.executable))
    return found


def launch_arguments() -> list[str]:
    """Chromium refuses its sandbox as root, and containers have a small /dev/shm."""
    return ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def _on_path() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _of_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _install() -> None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
        packages = ["chromium", "fonts-noto-cjk"]
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)
    if not _on_path():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def main() -> int:
    with contextlib.suppress(NoChromium):
        executable()
        return 0
    print("Installing Chromium for the browser tests …", flush=True)  # noqa: T201
    _install()
    try:
        print(executable())  # noqa: T201
    except NoChromium as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
