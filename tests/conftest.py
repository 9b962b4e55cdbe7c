"""The environment of every test: private services, the application's own database role, no network but loopback."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from promptops.core.installation import Installation
from promptops.management.services.valkey import ValkeyService
from tests import services

pytest_plugins = ["tests.local_model", "tests.people", "tests.processes", "tests.web"]

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
WORKER_NUMBER = int(WORKER.removeprefix("gw") or 0)
DATABASE_NAME = f"test_{WORKER}"

# The settings read the environment once, so it is set before anything of Django is imported. Worker processes inherit
# the controller's directory.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["PROMPTOPS_TEST_DIR"] = str(services.make_session_directory())
SESSION_DIRECTORY = Path(os.environ["PROMPTOPS_TEST_DIR"])
for name in (
    "DATABASE_URL",
    "OWNER_DATABASE_URL",
    "DATABASE_NAME",
    "SECRET_KEY",
    "ENCRYPTION_KEY",
    "PUBLIC_URL",
    "DEBUG",
    "PORT",
):
    os.environ.pop(name, None)
os.environ.update(
    DJANGO_SETTINGS_MODULE="promptops.settings",
    DATA_DIR=str(SESSION_DIRECTORY),
    VALKEY_URL=f"unix://{Installation.at(SESSION_DIRECTORY).valkey_socket}?db={WORKER_NUMBER}",
    DATABASE_POOL="0",
    STATIC_MANIFEST="0",
    ALLOW_SCRIPTED_PROVIDER="1",
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    NO_COLOR="1",
)


def pytest_configure() -> None:
    """Test modules import models, so Django is ready before any is collected."""
    import django

    django.setup()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Workers inherit this environment. With the name of the settings in it, pytest-django would read them there before
    this file has chosen the worker's Valkey, and all would share the queues of one."""
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> Iterator[None]:
    """Instead of Django's own test database: a clone of the migrated one, used by the application's role."""
    from django.db import connections

    with django_db_blocker.unblock():
        services.start(SESSION_DIRECTORY)
        services.clone(SESSION_DIRECTORY, DATABASE_NAME)
        connections.close_all()
    for alias in connections:
        connections[alias].settings_dict["NAME"] = DATABASE_NAME
    os.environ["DATABASE_NAME"] = DATABASE_NAME  # processes that a test starts use the same database
    yield
    with django_db_blocker.unblock():
        connections.close_all()
        services.drop(SESSION_DIRECTORY, DATABASE_NAME)


@pytest.fixture(scope="session", autouse=True)
def _fast_password_hashes() -> None:
    """Argon2 is slow on purpose; here nobody attacks."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session", autouse=True)
def _clean_as_superuser() -> Iterator[None]:
    """Django flushes as the application's role after a test that commits; that role may not truncate."""
    from django.test import TransactionTestCase

    def teardown(self: Any) -> None:
        services.clean(SESSION_DIRECTORY, DATABASE_NAME)

    patch = pytest.MonkeyPatch()
    patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
    yield
    patch.undo()


@pytest.fixture
def valkey() -> Iterator[Any]:
    """This worker's empty Valkey database."""
    services.start_valkey(SESSION_DIRECTORY)
    client = ValkeyService(Installation.at(SESSION_DIRECTORY)).connect(WORKER_NUMBER)
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


@pytest.fixture(scope="session")
def session_directory() -> Path:
    """The data directory of this test session's private services."""
    return SESSION_DIRECTORY


@pytest.fixture(scope="session")
def database_name() -> str:
    """The name of this worker's own database."""
    return DATABASE_NAME
