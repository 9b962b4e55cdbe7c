"""The ASGI application that the web server runs.

Django's own asynchronous handler answers a tenth of what synchronous Django in threads does, so Django is mounted here
as a WSGI application behind a bridge. What must be native (the hot `resolve` path, event streams) is answered in front
of the bridge.
"""

import re
import sys
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from django.conf import settings

from promptops.wsgi import application as wsgi_application  # first: it sets Django up

# isort: split
from promptops.event_streams import EventStreams
from promptops.resolve_cache import ResolveCache

# The event loop answers within microseconds, and must not wait for a thread that builds a page to give way: Python lets
# each go on for 5 ms by default (measured: half the time of an answer, where many threads are busy).
sys.setswitchinterval(0.001)

_bridge = cast(Any, WSGIMiddleware(cast(Any, wsgi_application), workers=settings.WEB_THREADS))


async def django_in_threads(scope: Any, receive: Any, send: Any) -> None:
    """All of Django. The bridge wants two things that the server does not give: coroutines, and ASCII in a query."""
    query = scope.get("query_string", b"")
    if not query.isascii():
        # The form that these bytes should have had.
        query = re.sub(rb"[\x80-\xff]", lambda byte: b"%%%02X" % byte[0][0], query)
        scope = {**scope, "query_string": query}

    async def receive_body() -> Any:  # granian's awaitable is no coroutine, and the bridge hands it to another thread
        return await receive()

    await _bridge(scope, receive_body, send)


application = ResolveCache(EventStreams(django_in_threads))
