"""What passes between a local engine (asyncio) and the thread that owns the model. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tokenizers import Tokenizer

from promptops.engines.types import EngineError


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. Temperature 0 takes the likeliest; top_k 0 and top_p 1 do not restrict; seed None draws
    one."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None


@dataclass(frozen=True)
class Ended:
    """The answer is whole: why it ends ("stop" or "length"), and how many tokens were generated, end mark included."""

    reason: Literal["stop", "length"]
    output_tokens: int


Event: TypeAlias = str | Ended | EngineError


@dataclass(eq=False)
class Job:
    """One request on its way through the model. `cancelled` is set from outside and looked at before every step."""

    prompt_ids: list[int]
    max_new_tokens: int
    sampling: Sampling
    stops: list[str]
    tokenizer: Tokenizer = field(repr=False)
    end_ids: frozenset[int] = field(repr=False)
    emit: Callable[[Event], None] = field(repr=False)
    cancelled: bool = False

    def emit_text(self, piece: str) -> None:
        self._send(piece)

    def end(self, reason: Literal["stop", "length"], output_tokens: int) -> None:
        self._send(Ended(reason, output_tokens))

    def fail(self, error: EngineError) -> None:
        self._send(error)

    def _send(self, event: Event) -> None:
        try:
            self.emit(event)
        except RuntimeError:
            # The asyncio loop that waited for the answer is closed; nobody is left to read it.
            self.cancelled = True
