"""REST of reviews: change requests, their verdicts and comments, and what protects labels."""

from promptops.reviews.api import changes, comments, policies

routers = (changes.router, comments.router, policies.router)

__all__ = ["routers"]
