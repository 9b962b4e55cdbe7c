"""REST of prompts: prompts, versions, the served version, labels, drafts, rendering."""

from promptops.prompts.api import drafts, labels, prompts, rendering, versions

routers = (prompts.router, versions.router, labels.router, drafts.router, rendering.router)

__all__ = ["routers"]
