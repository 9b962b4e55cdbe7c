"""The render process: reads jobs from standard input, writes one answer each to standard output, until the input
ends.

A frame is four bytes of length (big endian) and that many bytes of JSON. A job is
`{"action": "render" | "check", "syntax": …, "sources": […], "variables": {…}}`; its answer is `{"texts": […]}`, or
`{"error": …}` with `message_index` counting the sources. Before the first job it sends `{"ready": true}`.

It trusts its parent and nobody else: the limits are set before the first job is read, and a job that goes over them
takes the whole process with it. The parent notices and starts another.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import Any, BinaryIO

from . import fstring, jinja, mustache
from .errors import MEMORY_LIMIT, OUTPUT_TOO_LARGE, RENDER, TemplateError
from .limits import CPU_SECONDS, JOBS_BEFORE_RECYCLING, MAX_OUTPUT_BYTES, MEMORY_BYTES

_PAGE = resource.getpagesize()
_CHECK_MEMORY_ABOVE = 64 * 1024


def main() -> None:
    """Serves jobs until the parent closes the pipe."""
    jobs = sys.stdin.buffer
    env = jinja.environment()
    # Renders once before the limits, so that what every job needs is loaded and not counted.
    env.render_str("{{ 1 }}")
    mustache.render("{{a}}", {"a": 1})
    _set_limits()
    _answer({"ready": True})
    base = _address_space()
    for _ in range(JOBS_BEFORE_RECYCLING):
        frame = _read_frame(jobs)
        if frame is None:
            return
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        size = len(frame)
        answer = _serve(env, frame)
        del frame
        signal.setitimer(signal.ITIMER_PROF, 0)
        size += _answer(answer)
        if size > _CHECK_MEMORY_ABOVE and _address_space() - base > MEMORY_BYTES // 4:
            # What a large job leaves behind in the heap would be missing from the next one's allowance.
            return
        if answer.get("error", {}).get("code") == MEMORY_LIMIT:
            return


def _serve(env: Any, frame: bytes) -> dict[str, Any]:
    index: int | None = None
    try:
        job = json.loads(frame)
        texts: list[str] = []
        size = 0
        for position, source in enumerate(job["sources"]):
            index = position
            if job["action"] == "check":
                _check(env, job["syntax"], source)
                continue
            texts.append(_render(env, job["syntax"], source, job["variables"]))
            size += len(texts[-1].encode())
            if size > MAX_OUTPUT_BYTES:
                raise TemplateError(OUTPUT_TOO_LARGE, f"the rendered text is larger than {MAX_OUTPUT_BYTES} bytes")
        return {"texts": texts}
    except TemplateError as error:
        return _failure(error, index)
    except MemoryError:
        return _failure(TemplateError(MEMORY_LIMIT, "the template needs too much memory"), index)
    except (RecursionError, UnicodeError, ValueError) as error:
        return _failure(TemplateError(RENDER, f"{type(error).__name__}: {error}"), index)


def _failure(error: TemplateError, index: int | None) -> dict[str, Any]:
    error.message_index = index
    return {"error": error.as_json()}


def _render(env: Any, syntax: str, source: str, variables: dict[str, Any]) -> str:
    if syntax == "jinja":
        return jinja.render(env, source, variables)
    if syntax == "mustache":
        return mustache.render(source, variables)
    return fstring.render(source, variables)


def _check(env: Any, syntax: str, source: str) -> None:
    if syntax == "jinja":
        jinja.check(env, source)
    elif syntax == "mustache":
        mustache.parse(source)
    else:
        for _ in fstring.parse(source):
            pass


def _set_limits() -> None:
    if used := _address_space():
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    # No core dumps (they would hold people's prompts), no files, no new descriptors.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)


def _address_space() -> int:
    """Bytes of address space in use; 0 where the system does not say (not Linux), and then there is no memory limit."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[0]) * _PAGE
    except FileNotFoundError:
        return 0


def _read_frame(stream: BinaryIO) -> bytes | None:
    header = stream.read(4)
    if len(header) < 4:
        return None
    size = int.from_bytes(header, "big")
    frame = stream.read(size)
    return frame if len(frame) == size else None


def _answer(answer: dict[str, Any]) -> int:
    frame = json.dumps(answer, ensure_ascii=False).encode()
    frame = len(frame).to_bytes(4, "big") + frame
    sent = 0
    while sent < len(frame):
        sent += os.write(1, frame[sent:] if sent else frame)
    return sent


if __name__ == "__main__":
    main()
