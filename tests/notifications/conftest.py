from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # this file is read before Django is ready
    from tests.notifications.mailbox import Mailbox
    from tests.notifications.receiver import Receiver


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A receiver that this installation may call."""
    from tests.notifications.receiver import Receiver

    settings.ALLOWED_PROVIDER_HOSTS = ["127.0.0.1"]
    with Receiver() as running:
        yield running


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    """A mail server, and an installation that sends through it."""
    from promptops.settings import email_from_url
    from tests.notifications.mailbox import Mailbox

    with Mailbox() as running, pytest.MonkeyPatch.context() as environment:
        environment.setenv("EMAIL_URL", f"smtp://127.0.0.1:{running.port}")
        for name, value in email_from_url("EMAIL_URL").items():
            setattr(settings, name, value)
        yield running
