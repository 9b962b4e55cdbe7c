"""REST of the catalog: model endpoints, and the credentials by which they are called."""

from promptops.catalog.api import credentials, endpoints

routers = (endpoints.router, credentials.router)

__all__ = ["routers"]
