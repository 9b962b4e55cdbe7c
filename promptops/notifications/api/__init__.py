"""REST of notifications and webhooks."""

from promptops.notifications.api import inbox, webhooks

routers = (inbox.router, webhooks.router)

__all__ = ["routers"]
