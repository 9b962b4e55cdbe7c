"""Whether a local model can be run: what lies under ``LOCAL_MODELS_DIR``, and what would have to be added.

The worker of the queue ``local`` loads models; the web process only looks at the folder that both share.
"""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings

from promptops.engines.local_model import EMBEDDED_MODEL, find_embedded_gguf, is_converted


class Presence(StrEnum):
    """``PREPARED_ON_USE``: the first run converts the model, which takes some seconds."""

    READY = "ready"
    PREPARED_ON_USE = "prepared_on_use"
    MODEL_MISSING = "model_missing"
    PACKAGES_MISSING = "packages_missing"


def presence_of(model_folder: str) -> Presence:
    """Return whether the model in that folder (a name, not a path) can be loaded on this machine."""
    folder: Path = settings.LOCAL_MODELS_DIR / model_folder
    if model_folder == EMBEDDED_MODEL:
        converted = is_converted(folder)
        if not converted and find_embedded_gguf() is None:
            return Presence.MODEL_MISSING
        if find_spec("torch") is None:
            return Presence.PACKAGES_MISSING
        return Presence.READY if converted else Presence.PREPARED_ON_USE
    if not (folder / "config.json").is_file():
        return Presence.MODEL_MISSING
    return Presence.READY if find_spec("torch") else Presence.PACKAGES_MISSING


def local_model_names() -> list[str]:
    """Return the names of the local models that this machine has, the embedded one first."""
    present = [EMBEDDED_MODEL] if presence_of(EMBEDDED_MODEL) != Presence.MODEL_MISSING else []
    root: Path = settings.LOCAL_MODELS_DIR
    folders = sorted(path.parent.name for path in root.glob("*/config.json")) if root.is_dir() else []
    return present + [name for name in folders if name != EMBEDDED_MODEL and not name.startswith(".")]
