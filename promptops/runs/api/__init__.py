"""REST of runs: start, read, watch, cancel, repeat; and batches of them."""

from promptops.runs.api import batches, runs

routers = (batches.router, runs.router)

__all__ = ["routers"]
