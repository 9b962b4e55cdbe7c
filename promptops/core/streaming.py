"""Server-sent events: a view authorises, ``asgi.py`` streams.

A synchronous view cannot hold a connection open without holding a thread. So it answers with an
``EventStreamResponse``, which names the channels in a header that never leaves the process: ``promptops/asgi.py`` takes
the header off and streams the channels natively.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.http import HttpResponse

STREAM_HEADER = "X-Internal-Event-Stream"


class EventStreamResponse(HttpResponse):
    """Stream these channels (Valkey streams) as ``text/event-stream``.

    ``last_event_id`` is what the browser sent back; the stream goes on behind it. ``close_after`` is the number of
    ``ended`` events after which the stream closes by itself (the number of runs watched).
    """

    def __init__(self, channels: Sequence[str], *, last_event_id: str = "", status: int = 200) -> None:
        super().__init__(content_type="text/event-stream", status=status)
        self[STREAM_HEADER] = json.dumps({"channels": list(channels), "last_event_id": last_event_id})
        self["Cache-Control"] = "no-store"
        self["X-Accel-Buffering"] = "no"
