"""Callers that ask as fast as they are answered: `wrk` where the machine has it, else our own, in a process of its own.

Both hold a number of connections open, send the next request on a connection as soon as the one before is answered, and
time every answer.
"""

from __future__ import annotations

import contextlib
import json
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

WRK_THREADS = 2


@dataclass(frozen=True)
class Load:
    """What was measured. ``errors`` counts answers other than 200 and connections that broke."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    longest_ms: float
    requests: int
    errors: int


def client_name() -> str:
    """Which client measures."""
    if shutil.which("wrk") is None:
        return "own (epoll, one process)"
    version = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    return " ".join(version.split()[:2])


def measure(port: int, paths: Sequence[str], headers: Sequence[str], *, connections: int, seconds: float) -> Load:
    """Ask for the paths in random order over that many connections."""
    shuffled = list(paths)
    random.Random(7).shuffle(shuffled)
    ask = _by_own if shutil.which("wrk") is None else _by_wrk
    return ask(port, shuffled, [f"Host: 127.0.0.1:{port}", *headers], connections, seconds)


# --- wrk -----------------------------------------------------------------------------------------------------------

_SCRIPT = """
local paths = {%(paths)s}
local headers = {%(headers)s}
local requests, last = {}, 0
function init()
  for number, path in ipairs(paths) do requests[number] = wrk.format("GET", path, headers) end
  last = math.random(#requests)
end
function request()
  last = last %% #requests + 1
  return requests[last]
end
function done(summary, latency, _)
  local errors = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("\\nRESULT %%d %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency.max, errors))
end
"""


def _by_wrk(port: int, paths: Sequence[str], headers: Sequence[str], connections: int, seconds: float) -> Load:
    lines = (header.partition(": ") for header in headers)
    script = _SCRIPT % {
        "paths": ",".join(json.dumps(path) for path in paths),
        "headers": ",".join(f"[{json.dumps(name)}]={json.dumps(value)}" for name, _colon, value in lines),
    }
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", f"-t{WRK_THREADS}", f"-c{connections}", f"-d{seconds:.0f}s", "-s", file.name]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True, timeout=seconds + 60
        )
    numbers = [int(part) for part in done.stdout.partition("RESULT ")[2].split()]
    requests, microseconds, p50, p99, longest, errors = numbers
    return Load(
        requests_per_second=round(requests / (microseconds / 1e6), 1),
        p50_ms=p50 / 1000,
        p99_ms=p99 / 1000,
        longest_ms=longest / 1000,
        requests=requests,
        errors=errors,
    )


# --- Our own -------------------------------------------------------------------------------------------------------


def _by_own(port: int, paths: Sequence[str], headers: Sequence[str], connections: int, seconds: float) -> Load:
    given = {"port": port, "paths": list(paths), "headers": list(headers), "connections": connections}
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps({**given, "seconds": seconds}),
        cwd=Path(__file__).resolve().parent.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    return Load(**json.loads(done.stdout))


class _Caller:
    """One connection with one request on its way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.expected = 0  # bytes of the whole answer; 0 until its header is here
        self.sent_at = 0.0

    def ask(self, request: bytes) -> None:
        self.received, self.expected = b"", 0
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def hear(self) -> bool:
        """Take what came; return whether the answer is whole."""
        block = self.socket.recv(262_144)
        if not block:
            raise ConnectionError("closed by the server")
        self.received += block
        if not self.expected:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = self.received[:end].lower()
            self.expected = end + 4 + int(head.partition(b"content-length:")[2].split(None, 1)[0])
        return len(self.received) >= self.expected

    @property
    def is_ok(self) -> bool:
        return self.received.startswith(b"HTTP/1.1 200 ")


def _run(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    callers = {caller.socket.fileno(): caller for caller in (_Caller(port) for _number in range(connections))}
    poll = select.epoll()
    asked = 0
    for number, caller in callers.items():
        poll.register(number, select.EPOLLIN)
        caller.ask(requests[asked % len(requests)])
        asked += 1
    times: list[float] = []
    errors = 0
    began = time.perf_counter()
    while time.perf_counter() < began + seconds and callers:
        for number, _event in poll.poll(1):
            caller = callers[number]
            try:
                if not caller.hear():
                    continue
            except OSError:
                errors += 1
                poll.unregister(number)
                del callers[number]
                continue
            times.append(time.perf_counter() - caller.sent_at)
            errors += not caller.is_ok
            caller.ask(requests[asked % len(requests)])
            asked += 1
    took = time.perf_counter() - began
    for caller in callers.values():
        with contextlib.suppress(OSError):
            caller.socket.close()
    times.sort()
    return Load(
        requests_per_second=round(len(times) / took, 1),
        p50_ms=_share(times, 0.5),
        p99_ms=_share(times, 0.99),
        longest_ms=_share(times, 1.0),
        requests=len(times),
        errors=errors,
    )


def _share(times: Sequence[float], share: float) -> float:
    return round(times[min(len(times) - 1, int(len(times) * share))] * 1000, 3) if times else 0.0


def main() -> None:
    given = json.load(sys.stdin)
    head = "\r\n".join([*given["headers"], "", ""])
    requests = [f"GET {path} HTTP/1.1\r\n{head}".encode() for path in given["paths"]]
    print(json.dumps(asdict(_run(given["port"], requests, given["connections"], given["seconds"]))))


if __name__ == "__main__":
    main()
