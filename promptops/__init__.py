"""PromptOps: versions, review, execution, lineage and experiments for prompts that run in production."""

from promptops.celery import app as celery_app

__all__ = ["celery_app"]
