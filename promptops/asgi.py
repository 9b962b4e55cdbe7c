"""The ASGI application that the web server runs.

Django's own asynchronous handler answers a tenth of what synchronous Django in threads does, so Django is mounted here
as a WSGI application behind a bridge. What must be native (the hot `resolve` path, event streams) is answered in
`application` before the bridge is reached.
"""

from typing import Any, cast

from a2wsgi import WSGIMiddleware
from django.conf import settings

from promptops.wsgi import application as wsgi_application

django_in_threads = WSGIMiddleware(cast(Any, wsgi_application), workers=settings.WEB_THREADS)


async def application(scope: Any, receive: Any, send: Any) -> None:
    await django_in_threads(scope, receive, send)
