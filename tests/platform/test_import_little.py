"""What every process of ours pays at its start: nothing for engines that it may never use."""

import subprocess
import sys

from tests.web import ROOT

HEAVY = ("torch", "transformers", "numpy", "openai", "anthropic", "tiktoken")


def test_it_imports_no_engine_until_one_is_used() -> None:
    code = f"""
import django, sys
django.setup()
import promptops.urls, promptops.asgi, promptops.celery, promptops.runs.tasks
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
