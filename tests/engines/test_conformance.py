"""One suite for all adapters: whatever the provider, the same request means the same and failures have the same
names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from promptops.engines import (
    SUPPORTED_PARAMETERS,
    CompletionRequest,
    CompletionResult,
    Connection,
    Engine,
    EngineError,
    ErrorKind,
    TextDelta,
    create_engine,
)
from tests.provider import Provider

HTTP_ADAPTERS = ("openai", "anthropic")
ADAPTERS = (*HTTP_ADAPTERS, "scripted", "local")
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
# Longer than what the embedded model's template says where nobody says anything, and obeyed by it.
SYSTEM = "Answer in French, always, whatever the language of the question may be, and in a whole sentence."
WITH_SYSTEM = [{"role": "system", "content": SYSTEM}, *QUESTION]
CHAT = [*QUESTION, {"role": "assistant", "content": "I do not know yet."}, {"role": "user", "content": "And now?"}]


@pytest_asyncio.fixture(params=ADAPTERS)
async def engine(request: pytest.FixtureRequest, provider: Provider, embedded_model: Path) -> AsyncIterator[Engine]:
    created = create_engine(connection_to(provider, request.param, embedded_model))
    yield created
    await created.aclose()


@pytest_asyncio.fixture(params=HTTP_ADAPTERS)
async def http_engine(request: pytest.FixtureRequest, provider: Provider) -> AsyncIterator[Engine]:
    created = create_engine(connection_to(provider, request.param))
    yield created
    await created.aclose()


def connection_to(provider: Provider, name: str, model_dir: Path | None = None) -> Connection:
    if name == "local":
        return Connection(name, model_dir=model_dir)
    base_url = {"openai": provider.openai_url, "anthropic": provider.anthropic_url}.get(name)
    return Connection(name, api_key="sk-test", base_url=base_url)


def ask(
    messages: Any = QUESTION, model: str = "test-model", timeout: float = 60, **parameters: Any
) -> CompletionRequest:
    return CompletionRequest(model, messages, parameters, timeout=timeout)


async def streamed(engine: Engine, request: CompletionRequest) -> tuple[list[str], CompletionResult]:
    pieces: list[str] = []
    async with aclosing(engine.stream(request)) as items:
        async for item in items:
            if isinstance(item, TextDelta):
                pieces.append(item.text)
            else:
                return pieces, item
    raise AssertionError("the stream had no result")


async def failure_of(engine: Engine, request: CompletionRequest, *, stream: bool) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await (streamed(engine, request) if stream else engine.complete(request))
    return caught.value


async def test_it_answers_a_text_prompt(engine: Engine) -> None:
    result = await engine.complete(ask())
    assert result.text
    assert result.finish_reason == "stop"
    assert result.response_model
    assert result.response_id


async def test_it_answers_the_last_turn_of_a_chat(engine: Engine) -> None:
    result = await engine.complete(ask(CHAT))
    assert result.text
    assert result.usage.input_tokens > (await engine.complete(ask())).usage.input_tokens


async def test_it_gives_the_system_prompt_to_the_model(engine: Engine) -> None:
    with_system, without = await engine.complete(ask(WITH_SYSTEM, max_tokens=8)), await engine.complete(ask())
    assert with_system.text != without.text
    assert with_system.usage.input_tokens > without.usage.input_tokens


async def test_it_streams_the_same_text_that_it_completes(engine: Engine) -> None:
    pieces, result = await streamed(engine, ask())
    assert len(pieces) > 1
    assert "".join(pieces) == result.text == (await engine.complete(ask())).text
    assert result.time_to_first_token is not None
    assert 0 <= result.time_to_first_token < 10


async def test_it_counts_what_it_used_streamed_or_not(engine: Engine) -> None:
    (_, result), whole = await streamed(engine, ask()), await engine.complete(ask())
    assert result.usage == whole.usage
    assert not whole.usage.estimated
    assert whole.usage.input_tokens > 0
    assert whole.usage.output_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_it_stops_at_max_tokens(engine: Engine, stream: bool) -> None:
    request = ask(max_tokens=2)
    result = (await streamed(engine, request))[1] if stream else await engine.complete(request)
    assert result.finish_reason == "length"
    assert result.usage.output_tokens == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_it_ends_before_a_stop_string(engine: Engine, stream: bool) -> None:
    whole = (await engine.complete(ask())).text
    stop = whole[len(whole) // 2 :][:4]
    for value in (stop, [stop, "never said"]):
        request = ask(stop=value)
        result = (await streamed(engine, request))[1] if stream else await engine.complete(request)
        assert result.text == whole[: whole.index(stop)]
        assert result.finish_reason == "stop"


async def test_it_takes_every_parameter_that_it_promises(engine: Engine, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["engine"]
    values: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "max_tokens": 8, "stop": ["@@"], "seed": 7}
    values |= {"frequency_penalty": 0.1, "presence_penalty": 0.1}
    supported = {key: value for key, value in values.items() if key in SUPPORTED_PARAMETERS[name]}
    assert (await engine.complete(ask(**supported))).text


async def test_it_takes_none_as_not_set(engine: Engine) -> None:
    result = await engine.complete(ask(temperature=None, stop=None, max_tokens=None, unheard_of=None))
    assert result.finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
async def test_it_names_a_parameter_that_it_cannot_express(engine: Engine, stream: bool) -> None:
    error = await failure_of(engine, ask(unheard_of=1), stream=stream)
    assert error.kind == ErrorKind.BAD_REQUEST
    assert "unheard_of" in error.message
    assert error.billed == "no"


async def test_it_serves_many_calls_at_once(engine: Engine) -> None:
    questions = [ask([{"role": "user", "content": f"Count to {number}."}], max_tokens=3) for number in range(6)]
    together = await asyncio.gather(*(engine.complete(question) for question in questions))
    alone = [await engine.complete(question) for question in questions]
    assert [result.text for result in together] == [result.text for result in alone]


async def test_it_can_be_cancelled_and_used_again(engine: Engine) -> None:
    story = [{"role": "user", "content": "Tell me a very long story about a king and his three sons."}]
    slow = ask(story, model="test-model?latency=20&tokens=400", max_tokens=400)
    for call in (engine.complete(slow), streamed(engine, slow)):
        task = asyncio.create_task(call)
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 2)
    assert (await engine.complete(ask(max_tokens=2))).text


FAILURES = [
    ("rate_limit&retry_after=7", ErrorKind.RATE_LIMITED, 429, False),
    ("quota", ErrorKind.SPEND_LIMIT, 429, True),
    ("server_error", ErrorKind.SERVER_ERROR, 500, False),
    ("bad_gateway", ErrorKind.SERVER_ERROR, 502, False),
    ("unavailable", ErrorKind.OVERLOADED, 503, False),
    ("overloaded", ErrorKind.OVERLOADED, 529, False),
    ("auth", ErrorKind.AUTHENTICATION, 401, True),
    ("forbidden", ErrorKind.PERMISSION, 403, True),
    ("not_found", ErrorKind.NOT_FOUND, 404, True),
    ("context_length", ErrorKind.CONTEXT_LENGTH, 400, True),
    ("content_filter", ErrorKind.CONTENT_FILTER, 400, True),
    ("bad_request", ErrorKind.BAD_REQUEST, 400, True),
    ("redirect", ErrorKind.BAD_REQUEST, 307, True),
    ("hang", ErrorKind.TIMEOUT, None, False),
    ("drop", ErrorKind.CONNECTION, None, False),
    ("truncate", ErrorKind.TRUNCATED_STREAM, None, False),
    ("malformed", ErrorKind.MALFORMED_RESPONSE, None, False),
    ("not_json", ErrorKind.MALFORMED_RESPONSE, None, False),
    ("gzip", ErrorKind.MALFORMED_RESPONSE, None, False),
]


@pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
@pytest.mark.parametrize(("fail", "kind", "status", "permanent"), FAILURES, ids=[row[0] for row in FAILURES])
async def test_it_names_every_failure_alike(
    http_engine: Engine, fail: str, kind: ErrorKind, status: int | None, permanent: bool, stream: bool
) -> None:
    error = await failure_of(http_engine, ask(model=f"test-model?fail={fail}", timeout=0.7), stream=stream)
    assert (error.kind, error.status, error.permanent) == (kind, status, permanent)
    assert error.retry_after == (7 if "retry_after" in fail else None)
    # Nothing of the request hangs on the error: it may be logged or pickled with its context.
    assert error.__cause__ is None
    assert error.__context__ is None
    assert (await http_engine.complete(ask())).text


async def test_it_names_a_refused_connection(provider: Provider, unused_tcp_port: int) -> None:
    for name in HTTP_ADAPTERS:
        engine = create_engine(Connection(name, api_key="sk-test", base_url=f"http://127.0.0.1:{unused_tcp_port}"))
        for stream in (False, True):
            error = await failure_of(engine, ask(), stream=stream)
            assert (error.kind, error.permanent, error.billed) == (ErrorKind.CONNECTION, False, "no")
        await engine.aclose()


@pytest.mark.parametrize(
    ("fail", "kind"),
    [("truncate", ErrorKind.TRUNCATED_STREAM), ("stall", ErrorKind.TIMEOUT), ("stream_error", None)],
)
async def test_it_keeps_what_had_arrived(http_engine: Engine, fail: str, kind: ErrorKind | None) -> None:
    error = await failure_of(http_engine, ask(model=f"test-model?fail={fail}&after=2", timeout=0.7), stream=True)
    assert error.partial_text == "What is "
    assert error.billed == "yes"
    assert error.kind == kind or kind is None
    assert not error.permanent


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("usage", ["no_usage", "absurd_usage"])
async def test_it_counts_itself_where_the_numbers_are_absent_or_absurd(
    http_engine: Engine, usage: str, stream: bool
) -> None:
    request = ask(model=f"test-model?fail={usage}")
    result = (await streamed(http_engine, request))[1] if stream else await http_engine.complete(request)
    assert result.usage.estimated
    assert 0 < result.usage.output_tokens < 100
    assert 0 < result.usage.input_tokens < 100


@pytest.mark.parametrize("stream", [False, True])
async def test_it_tells_a_filtered_answer_from_a_refused_prompt(http_engine: Engine, stream: bool) -> None:
    request = ask(model="test-model?fail=filtered")
    result = (await streamed(http_engine, request))[1] if stream else await http_engine.complete(request)
    assert result.finish_reason == "content_filter"
    assert result.usage.output_tokens > 0


async def test_it_counts_cached_tokens_as_part_of_the_input(http_engine: Engine, provider: Provider) -> None:
    plain = await http_engine.complete(ask())
    cached = await http_engine.complete(ask(model="test-model?cached=5"))
    assert cached.usage.cached_input_tokens == 5
    assert cached.usage.input_tokens >= plain.usage.input_tokens


async def test_a_cancelled_call_is_closed_at_the_provider(http_engine: Engine, provider: Provider) -> None:
    for call in (
        http_engine.complete(ask(model="test-model?latency=30")),
        streamed(http_engine, ask(model="test-model?tokens=500&token_delay=0.05")),
    ):
        task = asyncio.create_task(call)
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)
        assert provider.calls[-1].outcome == "cancelled"
    assert provider.in_flight == 0


async def test_a_stream_left_early_is_closed_at_the_provider(http_engine: Engine, provider: Provider) -> None:
    async with aclosing(http_engine.stream(ask(model="test-model?tokens=500&token_delay=0.02"))) as items:
        async for _ in items:
            break
    await asyncio.sleep(0.1)
    assert provider.calls[-1].outcome == "cancelled"


async def test_it_reads_a_stream_that_the_server_keeps_open(http_engine: Engine) -> None:
    _, result = await streamed(http_engine, ask(model="test-model?fail=keep_open"))
    assert result.text == "What is the capital of France?"


async def test_it_keeps_its_connections(http_engine: Engine, provider: Provider) -> None:
    for _ in range(3):
        await http_engine.complete(ask())
        await streamed(http_engine, ask())
    assert len({call.peer for call in provider.calls}) == 1
