"""The JSON shapes of runs and batches: what comes in and what goes out. The services know what is allowed."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Literal

from ninja import Field, Schema
from pydantic import WithJsonSchema

from promptops.core.rest import Given, JsonObject, Paging
from promptops.prompts.schemas import Included
from promptops.runs.targets import MAX_ITEMS

MAX_WAIT_SECONDS = 60.0
MAX_TEXTS = 50
"""Runs on a page of a list with texts: each may have megabytes."""

PROMPT_EXAMPLE = "support-reply"
VARIABLES_EXAMPLE = {"shop": "Paper & Pen", "question": "Open on Sunday?"}

StatusName = Literal["queued", "running", "succeeded", "failed", "cancelled", "blocked"]
SentMessages = Annotated[list[JsonObject], WithJsonSchema({"type": "array", "items": {"type": "object"}})]
Usd = Annotated[float, WithJsonSchema({"type": "number", "description": "USD, at most ten decimals."})]


class TargetGiven(Given):
    """What to run, and on what."""

    prompt: str = Field(max_length=100, description="A prompt's slug.", examples=[PROMPT_EXAMPLE])
    label: str | None = Field(
        None, max_length=60, description="`production`, where neither label nor version is given; `latest`: the newest."
    )
    version: int | None = Field(None, description="A version's number, instead of a label.", examples=[3])
    endpoint: str | None = Field(
        None, max_length=80, description="The model endpoint's slug; the project's default one, where left out."
    )
    parameters: JsonObject | None = Field(
        None, description="Over those of the prompt and of the endpoint.", examples=[{"temperature": 0.2}]
    )


class RunGiven(TargetGiven):
    variables: JsonObject = Field(default_factory=dict, examples=[VARIABLES_EXAMPLE])
    metadata: JsonObject = Field(
        default_factory=dict, description="Yours: kept with the run, 16 kB at most.", examples=[{"customer": "c-1042"}]
    )
    wait: float | None = Field(
        None,
        ge=0,
        description=f"Hold the answer back until the run has ended, this many seconds at most "
        f"(more than {MAX_WAIT_SECONDS:.0f} counts as {MAX_WAIT_SECONDS:.0f}).",
        examples=[30],
    )
    stream: bool = Field(False, description="Answer with the event stream of the run.")


class ReplayGiven(Given):
    endpoint: str | None = Field(None, max_length=80, description="Another model endpoint; the same, where left out.")


class BatchItem(Given):
    variables: JsonObject = Field(default_factory=dict, examples=[VARIABLES_EXAMPLE])
    metadata: JsonObject = Field(default_factory=dict)


class BatchGiven(TargetGiven):
    items: list[BatchItem] = Field(
        min_length=1, max_length=MAX_ITEMS, description="One run each: all of them, or none."
    )


class RunFilters(Paging):
    status: list[StatusName] = Field(default_factory=list, description="May be given several times.")
    prompt: str = Field("", max_length=100, description="A prompt's slug.")
    version: int | None = Field(None, ge=0, lt=2**31, description="A version's number; 0: the runs of drafts.")
    label: str = Field("", max_length=60, description="The label that was asked for.")
    endpoint: str = Field("", max_length=80, description="A model endpoint's slug.")
    batch: uuid.UUID | None = None
    since: dt.datetime | None = Field(None, description="Made at this time or later. Without a zone: UTC.")
    until: dt.datetime | None = Field(None, description="Made before this time.")
    texts: bool = Field(
        False,
        description=f"Also variables, messages, parameters and output; then a page has {MAX_TEXTS} runs at most.",
    )


class RunError(Schema):
    kind: str = Field(description="For programs.", examples=["rate_limited"])
    message: str = Field(description="For people.")
    permanent: bool = Field(description="Whether the same call would fail again.")
    status: int | None = Field(description="The HTTP status of the provider's answer, where there was one.")


class Attempt(Schema):
    """One call of the provider. Its numbers are null while they are unknown."""

    number: int = Field(description="1 is the first.")
    status: Literal["open", "succeeded", "failed", "cancelled", "unknown"] = Field(
        description="unknown: the worker died during the call, which may have been billed."
    )
    endpoint: str
    request_model: str
    response_model: str | None
    response_id: str | None = Field(description="The provider's name for the answer.")
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Usd | None
    cost_estimated: bool = Field(description="The tokens were counted here, not by the provider.")
    latency_ms: int | None
    time_to_first_token_ms: int | None
    error: RunError | None
    started_at: dt.datetime
    ended_at: dt.datetime | None


class RunHead(Schema):
    """A run without its texts."""

    id: uuid.UUID = Field(description="A UUIDv7: it begins with the time.")
    status: StatusName = Field(description="The last four never change again. blocked: refused before any call.")
    prompt: str | None = Field(
        description="Its slug; null for a prompt that was never saved.", examples=[PROMPT_EXAMPLE]
    )
    version: int | None = Field(description="Its number; null for the run of a draft.", examples=[3])
    label: str | None = Field(description="The label that was asked for; null where a version was.")
    endpoint: str = Field(description="The model endpoint's slug.")
    batch: uuid.UUID | None
    finish_reason: str | None = Field(
        description="stop, length, content_filter, tool_calls, incomplete or cancelled; null before the end.",
        examples=["stop"],
    )
    request_model: str = Field(description="The model that was asked for.")
    response_model: str | None = Field(description="The model that answered, as the provider names it.")
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None = Field(description="Part of input_tokens.")
    reasoning_tokens: int | None = Field(description="Part of output_tokens.")
    cost_usd: Usd | None = Field(
        description="USD, of all attempts together; null while one is unknown, never 0 for it."
    )
    cost_estimated: bool = Field(description="The tokens were counted here, not by the provider.")
    latency_ms: int | None = Field(description="Of the last call.")
    time_to_first_token_ms: int | None = Field(description="Of the last call.")
    error: RunError | None = Field(description="Why it failed; also why it goes back to the queue for another attempt.")
    attempts: list[Attempt] = Field(description="Every call of the provider, the first one first.")
    cached: bool = Field(description="The answer of an earlier run with the same request.")
    metadata: JsonObject
    created_at: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    url: str = Field(description="Its page, for people.")


class Run(RunHead):
    """One execution of a prompt."""

    variables: JsonObject = Field(description="With the defaults of the prompt filled in.")
    messages: SentMessages = Field(description="As rendered, and sent to the model.")
    parameters: JsonObject = Field(description="As sent: the endpoint's, under the prompt's, under the given ones.")
    includes: list[Included] = Field(description="The versions of other prompts that were part of it.")
    output: str | None = Field(description="The text that came; of a failed run, the part that had come.")


class RunInList(RunHead):
    """A run in a list; its texts only with `texts=true`."""

    variables: JsonObject = Field(default_factory=dict)
    messages: SentMessages = Field(default_factory=list)
    parameters: JsonObject = Field(default_factory=dict)
    includes: list[Included] = Field(default_factory=list)
    output: str | None = None


class Counts(Schema):
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    blocked: int


class Batch(Schema):
    """Many runs of one version, started together."""

    id: uuid.UUID
    state: Literal["active", "paused", "cancelled"] = Field(
        description="What somebody wants of it; how far it is, is in counts."
    )
    prompt: str = Field(examples=[PROMPT_EXAMPLE])
    version: int
    label: str | None = Field(description="The label that was asked for; null where a version was.")
    endpoint: str
    total: int
    counts: Counts = Field(description="How many of its runs are in which state.")
    created_by: str | None
    created_at: dt.datetime
    url: str = Field(description="Its page, for people.")
