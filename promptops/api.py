"""The REST API, put together: one router an app, one door, one form of error, one description."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.docs import Swagger

from promptops.accounts.api import routers as accounts_routers
from promptops.accounts.bearer import TokenBearer
from promptops.api_description import DESCRIPTION, describe
from promptops.catalog.api import routers as catalog_routers
from promptops.core.rest import CompactRenderer, StrictParser
from promptops.notifications.api import routers as notifications_routers
from promptops.prompts.api import routers as prompts_routers
from promptops.rest import on_error
from promptops.reviews.api import routers as reviews_routers
from promptops.runs.api import routers as runs_routers

API_VERSION = "1.0.0"  # of the contract in /api/v1, not of the software


class PromptOpsAPI(NinjaAPI):
    """django-ninja, with a description that tells all that we answer."""

    def get_openapi_schema(self, *args: Any, **kwargs: Any) -> Any:
        return describe(super().get_openapi_schema(*args, **kwargs))

    def get_openapi_operation_id(self, operation: Any) -> str:
        return str(operation.view_func.__name__)


api = PromptOpsAPI(
    title="PromptOps",
    version=API_VERSION,
    description=DESCRIPTION,
    auth=TokenBearer(),
    parser=StrictParser(),
    renderer=CompactRenderer(),
    docs=Swagger({"persistAuthorization": False, "displayRequestDuration": True, "docExpansion": "list"}),
    urls_namespace="api",
)
for router in (
    *prompts_routers,
    *reviews_routers,
    *runs_routers,
    *catalog_routers,
    *notifications_routers,
    *accounts_routers,
):
    api.add_router("", router)


@api.exception_handler(HttpError)
@api.exception_handler(ValidationError)
@api.exception_handler(Http404)
@api.exception_handler(Exception)
def _problem(request: HttpRequest, error: Exception) -> HttpResponse:
    return on_error(request, error)
