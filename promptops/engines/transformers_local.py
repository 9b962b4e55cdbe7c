"""A model on this machine, through transformers.

The model belongs to the process, not to the engine: engines with the same folder share one loaded model and one
batch. torch is imported by the model's thread when the first request comes. `output_schema` does not constrain this
engine; whether an answer fits its schema is checked by who asked.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptops.engines.chat_format import ChatFormat, load_chat_format
from promptops.engines.jobs import Ended, Event, Job, Sampling
from promptops.engines.local_model import conversion_record, ensure_present
from promptops.engines.parameters import given_parameters
from promptops.engines.registry import DEFAULT_MAX_TOKENS
from promptops.engines.types import (
    CompletionRequest,
    CompletionResult,
    Connection,
    EngineError,
    ErrorKind,
    StreamItem,
    TextDelta,
    Usage,
)

if TYPE_CHECKING:
    from promptops.engines.generation import GeneratorThread

_threads: dict[Path, GeneratorThread] = {}
_threads_lock = threading.Lock()


class LocalEngine:
    """`Engine` over a folder with a causal language model (`Connection.model_dir`)."""

    def __init__(self, connection: Connection) -> None:
        if connection.model_dir is None:
            raise ValueError("A local engine needs the folder of its model.")
        self.model_dir = connection.model_dir.resolve()
        self._jobs: dict[Job, asyncio.Queue[Event]] = {}

    async def complete(self, request: CompletionRequest) -> CompletionResult:
        async with aclosing(self.stream(request)) as items:
            async for item in items:
                if isinstance(item, CompletionResult):
                    return replace(item, time_to_first_token=None)
        raise AssertionError("a stream ends with a result")

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamItem, None]:
        clock = asyncio.get_running_loop().time
        started = clock()
        events: asyncio.Queue[Event] = asyncio.Queue()
        job = await self._job(request, events)
        self._jobs[job] = events
        pieces: list[str] = []
        first: float | None = None
        try:
            thread = await asyncio.to_thread(_submit, self.model_dir, job)
            while True:
                event = await _next(events, started + request.timeout)
                if isinstance(event, Ended):
                    yield self._result(request, job, event, "".join(pieces), first, thread.description)
                    return
                if isinstance(event, EngineError):
                    raise _with_text(event, "".join(pieces))
                first = clock() - started if first is None else first
                pieces.append(event)
                yield TextDelta(event)
        finally:
            job.cancelled = True
            del self._jobs[job]

    async def aclose(self) -> None:
        """End this engine's own requests. The model stays loaded: others use it, or will."""
        for job, events in self._jobs.items():
            job.cancelled = True
            events.put_nowait(EngineError(ErrorKind.CANCELLED, "The engine was closed."))

    async def _job(self, request: CompletionRequest, events: asyncio.Queue[Event]) -> Job:
        parameters = given_parameters("local", request)
        sampling = _sampling(parameters)
        chat, prompt_ids = await asyncio.to_thread(_prompt, self.model_dir, request)
        loop = asyncio.get_running_loop()
        return Job(
            prompt_ids=prompt_ids,
            max_new_tokens=_room(chat, len(prompt_ids), parameters),
            sampling=sampling,
            stops=parameters.get("stop", []),
            tokenizer=chat.tokenizer,
            end_ids=chat.end_ids,
            emit=lambda event: _deliver(loop, events, event),
        )

    def _result(
        self, request: CompletionRequest, job: Job, ended: Ended, text: str, first: float | None, description: str
    ) -> CompletionResult:
        weights = str(conversion_record(self.model_dir).get("weights_sha256", ""))[:16]
        return CompletionResult(
            text=text,
            finish_reason=ended.reason,
            usage=Usage(len(job.prompt_ids), ended.output_tokens),
            response_model=request.model_name,
            response_id=f"local-{uuid.uuid4().hex}",
            system_fingerprint="-".join(part for part in (weights, description) if part),
            time_to_first_token=first,
        )


def unload_models() -> None:
    """End every model's thread and give its memory back; a later request loads the model again."""
    with _threads_lock:
        threads = list(_threads.values())
        _threads.clear()
    for thread in threads:
        thread.stop()


atexit.register(unload_models)


def _prompt(model_dir: Path, request: CompletionRequest) -> tuple[ChatFormat, list[int]]:
    """How the model wants a chat written, and this one's tokens. Converts the embedded model first where needed."""
    ensure_present(model_dir)
    chat = load_chat_format(model_dir)
    prompt_ids = chat.prompt_ids(request.messages)
    if not prompt_ids:
        raise EngineError(ErrorKind.BAD_REQUEST, "The prompt is empty.")
    return chat, prompt_ids


def _submit(model_dir: Path, job: Job) -> GeneratorThread:
    """Hand the job to the model's thread, starting it first where needed. Imports torch, so not for the event loop."""
    try:
        from promptops.engines.generation import GeneratorThread
    except ImportError as problem:
        message = f"The packages for local models are not installed ({problem}); add the extra [local]."
        raise EngineError(ErrorKind.UNAVAILABLE, message) from None
    with _threads_lock:
        thread = _threads.get(model_dir)
        if thread is None or not thread.submit(job):
            thread = _threads[model_dir] = GeneratorThread(model_dir)
            thread.submit(job)
        return thread


def _deliver(loop: asyncio.AbstractEventLoop, events: asyncio.Queue[Event], event: Event) -> None:
    """Called in the model's thread."""
    loop.call_soon_threadsafe(events.put_nowait, event)


async def _next(events: asyncio.Queue[Event], deadline: float) -> Event:
    try:
        async with asyncio.timeout_at(deadline):
            return await events.get()
    except TimeoutError:
        return EngineError(ErrorKind.TIMEOUT, "The local model did not finish in time.")


def _with_text(error: EngineError, text: str) -> EngineError:
    """A copy for this request: one error may end many."""
    return EngineError(error.kind, error.message, permanent=error.permanent, partial_text=text)


def _room(chat: ChatFormat, prompt_tokens: int, parameters: dict[str, Any]) -> int:
    """How many tokens may be generated. Raises `EngineError(context_length)` where the prompt leaves no room."""
    room = chat.context_length - prompt_tokens
    if room < 1:
        raise EngineError(
            ErrorKind.CONTEXT_LENGTH,
            f"The prompt has {prompt_tokens} tokens; the model's context holds {chat.context_length}, answer included.",
        )
    limit = parameters.get("max_tokens", DEFAULT_MAX_TOKENS["local"])
    if not isinstance(limit, int) or limit < 1:
        raise EngineError(ErrorKind.BAD_REQUEST, "The parameter 'max_tokens' must be a whole number above 0.")
    return min(limit, room)


def _sampling(parameters: dict[str, Any]) -> Sampling:
    """Raises `EngineError(bad_request)` naming a parameter out of its range."""
    sampling = Sampling(
        **{name: parameters[name] for name in ("temperature", "top_p", "top_k", "seed") if name in parameters}
    )
    for name, valid, wanted in (
        ("temperature", _number(sampling.temperature, 0, 5), "a number from 0 to 5"),
        ("top_p", _number(sampling.top_p, 0, 1) and sampling.top_p > 0, "a number above 0 and up to 1"),
        ("top_k", type(sampling.top_k) is int and sampling.top_k >= 0, "a whole number, 0 for no limit"),
        ("seed", sampling.seed is None or _is_seed(sampling.seed), "a whole number of at most 63 bits"),
    ):
        if not valid:
            raise EngineError(ErrorKind.BAD_REQUEST, f"The parameter {name!r} must be {wanted}.")
    return sampling


def _is_seed(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _number(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
