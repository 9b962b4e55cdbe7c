"""The WSGI application: all of Django, synchronous."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")

application = get_wsgi_application()

from promptops.checks import refuse_bad_configuration  # noqa: E402  (needs the settings to be loaded)

refuse_bad_configuration()
