from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # this file is read before Django is ready
    from promptops.accounts.models import Project
    from tests.api.client import Caller


@pytest.fixture
def project(db: None) -> Project:
    """A project with an owner."""
    from tests.api.client import make_project

    return make_project()


@pytest.fixture
def admin(project: Project) -> Caller:
    """A caller with a token of an admin."""
    from tests.api.client import make_caller

    return make_caller(project)
