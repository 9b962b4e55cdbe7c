"""Compiles the lock files from pyproject.toml: `make lock`, or with `UPGRADE=1` to the newest versions that fit.

Run by the oldest Python that we support, so that the backports it needs are in the lock; newer ones do without harm.
What belongs to one machine (indexes, paths, a `+cpu` build of torch with its companions) must not get into a lock.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCKS = {
    "dev": ["--extra", "embedded", "--extra", "local", "--extra", "dev"],
    "base": [],
    "embedded": ["--extra", "embedded"],
    "local": ["--extra", "local"],
}
HEADER = "# Compiled by `make lock` from pyproject.toml: {what}. Do not edit.\n"
ONLY_WITH_CUDA = re.compile(r"^(nvidia-|triton|cuda-)")  # torch brings what its own build needs


def main() -> None:
    everything = HERE / "dev.txt"
    for name, extras in LOCKS.items():
        target = HERE / f"{name}.txt"
        # All locks agree: the largest is resolved first, the others only take parts of it.
        limits = ["--constraint", str(everything)] if name != "dev" else []
        upgrade = ["--upgrade"] if os.environ.get("UPGRADE") and name == "dev" else []
        compile_one(target, [*extras, *limits, *upgrade])
        what = "the base" + "".join(f" + [{extra}]" for extra in extras if extra != "--extra")
        target.write_text(HEADER.format(what=what) + cleaned(target.read_text()))


def compile_one(target: Path, options: list[str]) -> None:
    command = [sys.executable, "-m", "piptools", "compile", "--quiet", "--strip-extras", "--allow-unsafe"]
    command += ["--no-annotate", "--no-header", "--no-emit-options", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--no-emit-trusted-host", "--output-file", str(target), *options, "pyproject.toml"]
    subprocess.run(command, cwd=HERE.parent, check=True)


def cleaned(lock: str) -> str:
    """Only pins, without local versions."""
    lines = (line for line in lock.splitlines() if line and not line.startswith(("#", "-")))
    pins = (re.sub(r"\+[a-z0-9.]+", "", line) for line in lines if not ONLY_WITH_CUDA.match(line))
    return "".join(f"{pin}\n" for pin in pins)


if __name__ == "__main__":
    main()
