"""One view serves the page and its fragments: an htmx request gets the named fragment, a browser the whole page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render as render_template
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django_htmx.http import trigger_client_event
from django_htmx.middleware import HtmxDetails

Level = Literal["success", "info", "warning", "error"]


def is_fragment(request: HttpRequest) -> bool:
    """Return whether htmx wants a piece of the page (a boosted link or a restored history entry wants all of it)."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    return htmx is not None and bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def render(
    request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """Render ``"runs/list.html#table"``: the partial ``table`` on an htmx request, else the page around it.

    Without ``#`` both get the whole template. The answer varies on ``HX-Request``, so no cache mixes them up.
    """
    page, _, partial = template.partition("#")
    name = template if partial and is_fragment(request) else page
    response = render_template(request, name, dict(context or {}), status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def toast(response: HttpResponse, message: str, level: Level = "success") -> HttpResponse:
    """Have the page show a short message when htmx gets this answer."""
    return trigger_client_event(response, "toast", {"message": str(message), "level": level})


def redirect(request: HttpRequest, to: str, *args: Any, **kwargs: Any) -> HttpResponse:
    """Send the browser to a URL name or path, also from an htmx request (which would swallow an ordinary redirect)."""
    url = to if to.startswith("/") else reverse(to, args=args, kwargs=kwargs)
    if is_fragment(request):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def redirect_renamed(request: HttpRequest, **renamed: str) -> HttpResponse:
    """Send the browser to the same page under another name (arguments of its route), with query and method.

    Not for ever: what was renamed may take its old name back.
    """
    match = request.resolver_match
    if match is None:
        raise ValueError("only a view has a page to lead to")
    url = reverse(match.view_name, kwargs={**match.kwargs, **renamed})
    if request.META.get("QUERY_STRING"):
        url = f"{url}?{request.META['QUERY_STRING']}"
    if is_fragment(request) and request.method in ("GET", "HEAD"):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url, preserve_request=True)
