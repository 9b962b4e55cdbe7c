"""REST of people and access: who am I, tokens, members, invitations, and the audit log.

The audit log is read here and not in ``audit``: that package knows nothing of people and of who may see what.
"""

from promptops.accounts.api import audit_log, members, tokens

routers = (tokens.router, members.router, audit_log.router)

__all__ = ["routers"]
