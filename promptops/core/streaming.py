"""Answers that are told in time: a view authorises, the ASGI layer (``promptops/event_streams.py``) streams or waits.

A synchronous view cannot hold a connection open without holding a thread. So it answers at once, and says in a header
that never leaves the process what the ASGI layer should do: stream channels as server-sent events, or hold the answer
back until something has ended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.http import HttpResponse

STREAM_HEADER = "X-Internal-Event-Stream"
WAIT_HEADER = "X-Internal-Wait"
EVENT_STREAM = "text/event-stream"
MAX_CHANNELS = 50
"""Of one connection."""


class EventStreamResponse(HttpResponse):
    """Stream these channels as ``text/event-stream``, until all have ended.

    What the caller has seen before is read from the request's ``Last-Event-ID``: the stream goes on behind it.
    """

    def __init__(self, channels: Sequence[str], *, status: int = 200) -> None:
        if not 1 <= len(channels) <= MAX_CHANNELS:
            raise ValueError(f"an event stream has 1 to {MAX_CHANNELS} channels")
        super().__init__(content_type=EVENT_STREAM, status=status)
        self[STREAM_HEADER] = json.dumps(list(channels))


def hold_until_ended(answer: HttpResponse, channel: str, seconds: float) -> None:
    """Have this answer held back until the channel has ended, ``seconds`` at most.

    It then goes out as 201 with what has ended; when the time is over, as it is, with the present state.
    """
    answer[WAIT_HEADER] = json.dumps([channel, seconds])
