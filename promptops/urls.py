"""Every URL of the installation, by app."""

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

from promptops import health
from promptops.api import api

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/v1/", api.urls),
]
for app in ("core", "accounts", "notifications", "catalog", "prompts", "runs", "reviews", "audit"):
    if find_spec(f"promptops.{app}") and find_spec(f"promptops.{app}.urls"):
        urlpatterns.append(path("", include(f"promptops.{app}.urls")))

handler400 = "promptops.core.error_pages.bad_request"
handler403 = "promptops.core.error_pages.permission_denied"
handler404 = "promptops.core.error_pages.page_not_found"
