"""The thread that owns a local model: slots in one key/value cache, which requests join and leave between steps.

Each step feeds one token of every running request through the model at once, so that sixteen requests cost little
more than one. A new request's prompt goes through in chunks between the steps, so that a long one does not stall the
others; and where it begins like a prompt whose keys and values are still in some slot (every run of a prompt version
shares its instruction and examples), those are copied instead of computed.

Every row attends to exactly its own tokens and samples with its own generator: in fp32 a request's text does not
depend on its neighbours. The code is the same on CPU (fp32) and CUDA (bf16, where equality across batches is not
promised).
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

# Read once, when torch is loaded. By default its threads spin while they wait for each other; where other processes
# want the same cores, a token then takes a second instead of 50 ms (measured on two cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from promptops.engines.kv_cache import SlotCache
from promptops.engines.local_model import doing
from promptops.engines.sampling import Sampler
from promptops.engines.transcript import Transcript
from promptops.engines.types import EngineError, ErrorKind

if TYPE_CHECKING:
    from promptops.engines.jobs import Job

PREFILL_CHUNK = 256
"""Tokens of a prompt that go through at once: about 0.2 s on two cores, the longest that a step of others waits."""

SHORTEST_PREFIX = 8
"""Copying fewer tokens than this saves less than it costs."""


@dataclass
class Row:
    """A running request in a slot. `ids` are the prompt and what was generated; `cached` of them are in the slot."""

    job: Job
    ids: list[int]
    sampler: Sampler
    transcript: Transcript
    cached: int = 0
    generated: int = 0

    @property
    def prefilling(self) -> bool:
        return self.cached < len(self.job.prompt_ids)


@dataclass
class Batch:
    """The slots: `rows[i]` runs in slot i; only the last may still be prefilling."""

    rows: list[Row] = field(default_factory=list)
    contents: dict[int, list[int]] = field(default_factory=dict)
    """The tokens whose keys and values lie in a slot, also after its request has ended."""


class Generator:
    """A model with its running requests. Used from one thread; `step` is one turn of its loop."""

    def __init__(self, model_dir: Path) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.model = _load(model_dir, self.device, self.dtype)
        self.cache = SlotCache(self.model.config, self.device, self.dtype)
        self.batch = Batch()
        self.waiting: deque[Job] = deque()

    @property
    def idle(self) -> bool:
        return not self.batch.rows and not self.waiting

    @torch.inference_mode()
    def step(self) -> None:
        """Drop what was cancelled, admit one request, feed a chunk of its prompt, and one token of all the others."""
        self._drop_cancelled()
        self._admit()
        rows = self.batch.rows
        if rows and rows[-1].prefilling:
            self._prefill(len(rows) - 1)
        running = [row for row in self.batch.rows if not row.prefilling]
        if running:
            self._decode(running)

    def fail_all(self, error: EngineError) -> None:
        """End every request with `error`, and begin anew with empty slots."""
        for job in [*(row.job for row in self.batch.rows), *self.waiting]:
            job.fail(error)
        self.batch, self.waiting = Batch(), deque()
        self.cache.clear()

    def _drop_cancelled(self) -> None:
        self.waiting = deque(job for job in self.waiting if not job.cancelled)
        for slot in reversed(range(len(self.batch.rows))):
            if self.batch.rows[slot].job.cancelled:
                self._retire(slot)

    def _admit(self) -> None:
        """Give the request that waits longest a slot, unless another one's prompt is still on its way."""
        rows = self.batch.rows
        if not self.waiting or (rows and rows[-1].prefilling):
            return
        job = self.waiting[0]
        needed = len(job.prompt_ids) + job.max_new_tokens
        longest = max([needed, *(len(row.job.prompt_ids) + row.job.max_new_tokens for row in rows)])
        if self.cache.slots_for(longest) <= len(rows):
            if not rows:
                self.waiting.popleft()
                message = f"The request needs room for {needed} tokens, more than this machine's memory allows."
                job.fail(EngineError(ErrorKind.CONTEXT_LENGTH, message))
            return
        self.waiting.popleft()
        if self.cache.ensure_length(longest, occupied=len(rows)):
            self.batch.contents = {slot: self.batch.contents[slot] for slot in range(len(rows))}
        row = Row(job, list(job.prompt_ids), Sampler(job.sampling, self.device), Transcript(job.tokenizer, job.stops))
        row.cached = self._reuse(job.prompt_ids, len(rows))
        rows.append(row)
        self.batch.contents[len(rows) - 1] = row.ids[: row.cached]

    def _reuse(self, prompt_ids: list[int], slot: int) -> int:
        """Copy the longest beginning that some slot holds into `slot`; how many tokens that was."""
        # The last token is always computed: its output is what the answer begins from.
        wanted = prompt_ids[:-1]
        found = {other: _shared(wanted, held) for other, held in self.batch.contents.items()}
        best = max(found, key=lambda other: (found[other], other == slot), default=slot)
        length = found.get(best, 0)
        if length < SHORTEST_PREFIX:
            return 0
        if best != slot:
            self.cache.copy(best, slot, length)
        return length

    def _prefill(self, slot: int) -> None:
        row = self.batch.rows[slot]
        start, end = row.cached, min(row.cached + PREFILL_CHUNK, len(row.job.prompt_ids))
        logits = self._forward([row.ids[start:end]], slot, [start])
        self._advance(slot, end)
        if not row.prefilling:
            self._accept(slot, row.sampler.next_token(logits[0]))

    def _decode(self, rows: list[Row]) -> None:
        logits = self._forward([[row.ids[row.cached]] for row in rows], 0, [row.cached for row in rows])
        best = logits.argmax(dim=-1).tolist()
        # From the last slot to the first: a request that ends moves only slots behind it.
        for slot in reversed(range(len(rows))):
            row = rows[slot]
            self._advance(slot, row.cached + 1)
            self._accept(slot, best[slot] if row.sampler.greedy else row.sampler.next_token(logits[slot]))

    def _forward(self, ids: list[list[int]], first_slot: int, starts: list[int]) -> torch.Tensor:
        """Logits (rows × vocabulary, fp32) after the last of each row's tokens, which begin at `starts` of its slot."""
        width = len(ids[0])
        begin = torch.tensor(starts, device=self.device)
        positions = begin[:, None] + torch.arange(width, device=self.device)
        view = self.cache.view(first_slot, positions, length=max(starts) + width)
        reach = torch.arange(view.length, device=self.device)
        mask = reach[None, None, None, :] <= positions[:, None, :, None]
        output = self.model(
            input_ids=torch.tensor(ids, device=self.device),
            position_ids=positions,
            attention_mask=mask,
            past_key_values=view,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def _advance(self, slot: int, cached: int) -> None:
        row = self.batch.rows[slot]
        self.batch.contents[slot].extend(row.ids[row.cached : cached])
        row.cached = cached

    def _accept(self, slot: int, token: int) -> None:
        row = self.batch.rows[slot]
        row.ids.append(token)
        row.generated += 1
        if token in row.job.end_ids:
            self._finish(slot, "stop")
            return
        piece = row.transcript.add(token)
        if piece:
            row.job.emit_text(piece)
        if row.transcript.stopped:
            self._finish(slot, "stop")
        elif row.generated >= row.job.max_new_tokens:
            self._finish(slot, "length")

    def _finish(self, slot: int, reason: Literal["stop", "length"]) -> None:
        row = self.batch.rows[slot]
        rest = row.transcript.rest()
        if rest:
            row.job.emit_text(rest)
        row.job.end(reason, row.generated)
        self._retire(slot)

    def _retire(self, slot: int) -> None:
        """Free the slot; the last running row takes it, and a prefilling one moves up behind, so that none is
        between."""
        rows = self.batch.rows
        last = len(rows) - 1
        if last > slot and rows[last].prefilling:
            if last - 1 > slot:
                self._move(last - 1, slot)
            self._move(last, last - 1)
        elif last > slot:
            self._move(last, slot)
        rows.pop()

    def _move(self, source: int, target: int) -> None:
        self.cache.copy(source, target, self.batch.rows[source].cached)
        self.batch.rows[target] = self.batch.rows[source]
        self.batch.contents[target] = list(self.batch.contents[source])


class GeneratorThread:
    """Runs a `Generator` in its own thread; `submit` may be called from any."""

    def __init__(self, model_dir: Path) -> None:
        self.model_dir = model_dir
        self.description = ""
        self._ended = False
        self._lock = threading.Lock()
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"model-{model_dir.name}", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> bool:
        """Hand a request over; False when the thread has ended and takes no more."""
        with self._lock:
            if not self._ended:
                self._inbox.put(job)
            return not self._ended

    def stop(self, timeout: float = 10.0) -> None:
        """End the thread after its present step."""
        self._inbox.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            with doing("loading the model"):
                generator = Generator(self.model_dir)
        except Exception as problem:
            self._end(EngineError(ErrorKind.UNAVAILABLE, f"The local model could not be loaded: {problem}"))
            return
        self.description = f"{str(generator.dtype).removeprefix('torch.')}-{generator.device.type}"
        while self._receive(generator):
            try:
                generator.step()
            except Exception as problem:
                generator.fail_all(EngineError(ErrorKind.SERVER_ERROR, f"The local model failed: {problem}"))
        stopped = EngineError(ErrorKind.CANCELLED, "The local model was stopped.")
        generator.fail_all(stopped)
        self._end(stopped)

    def _receive(self, generator: Generator) -> bool:
        """Take in what was submitted, waiting only when there is nothing to do; False when the thread shall end."""
        while True:
            try:
                job = self._inbox.get(block=generator.idle)
            except queue.Empty:
                return True
            if job is None:
                return False
            generator.waiting.append(job)

    def _end(self, error: EngineError) -> None:
        """Take no more requests, and refuse those that nobody looked at."""
        with self._lock:
            self._ended = True
        while not self._inbox.empty():
            job = self._inbox.get()
            if job is not None:
                job.fail(error)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _load(model_dir: Path, device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=dtype, attn_implementation="sdpa", local_files_only=True, trust_remote_code=False
    )
    windows = {kind for kind in getattr(model.config, "layer_types", None) or () if kind != "full_attention"}
    if windows or getattr(model.config, "is_encoder_decoder", False):
        raise ValueError("only decoders with full attention in every layer are supported")
    moved: torch.nn.Module = model.to(device)  # type: ignore[arg-type]  # the stubs take self for an argument
    return moved.eval()
