"""The Celery application: processes, queues and the beat. Everything it is told stands in the settings as CELERY_*.

Messages are doorbells that carry ids; the truth is in the database. So: JSON only, and no result backend.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")

app = Celery("promptops")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
