"""Production, as docker-compose.yml starts it: outside services, two roles, secrets from the environment, and TLS."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import psycopg
import pytest

from promptops.core.installation import Installation
from promptops.management.services.postgres import PostgresService
from tests.web import ROOT, free_port, serve

pytestmark = pytest.mark.xdist_group("production")  # one database for all of them

HOST = "prompts.example.com"
FIRST = "first-password"


@pytest.fixture(scope="module")
def production(django_db_setup: None, session_directory: Path, database_name: str) -> Iterator[dict[str, str]]:
    """The environment of a production installation whose database does not exist yet."""
    postgres = PostgresService(Installation.at(session_directory))
    name, app, owner = (f"{database_name}_production{end}" for end in ("", "_app", "_owner"))
    superuser = quote(session_secrets(session_directory), safe="")

    def url(user: str, password: str, database: str = name) -> str:
        place = quote(str(Installation.at(session_directory).postgres_sockets), safe="")
        return f"postgresql://{user}:{password}@:5432/{database}?host={place}"

    environment = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(session_directory / "production"),
        "STATIC_MANIFEST": "0",
        "DATABASE_URL": url(app, FIRST),
        "OWNER_DATABASE_URL": url(owner, "owner-password"),
        "SUPERUSER_DATABASE_URL": url("promptops_superuser", superuser, "postgres"),
        "VALKEY_URL": os.environ["VALKEY_URL"],
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ENCRYPTION_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "PUBLIC_URL": f"https://{HOST}",
        "BEHIND_TLS_PROXY": "1",
    }
    yield environment
    with postgres.connect(database="postgres") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"DROP ROLE IF EXISTS {app}")
        connection.execute(f"DROP ROLE IF EXISTS {owner}")


def session_secrets(directory: Path) -> str:
    return Installation.at(directory).load_secrets().database_superuser_password


@pytest.fixture(scope="module")
def migrated(production: dict[str, str]) -> dict[str, str]:
    assert manage(production, "create_roles").returncode == 0
    assert manage(production, "migrate", "--no-input", "--verbosity", "0").returncode == 0
    return production


def manage(environment: dict[str, str], *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**environment, **changes},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_application_may_write_rows_and_nothing_more(migrated: dict[str, str]) -> None:
    with psycopg.connect(migrated["DATABASE_URL"], autocommit=True) as app:
        app.execute("SELECT count(*) FROM prompts_prompt")
        app.execute("INSERT INTO core_change (project_id) VALUES (1)")
        for statement in ("CREATE TABLE t (id int)", "ALTER TABLE prompts_promptversion DISABLE TRIGGER ALL"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)
    with psycopg.connect(migrated["OWNER_DATABASE_URL"], autocommit=True) as owner:
        assert owner.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)


def test_making_the_roles_again_sets_a_changed_password(migrated: dict[str, str]) -> None:
    changed = migrated["DATABASE_URL"].replace(FIRST, "second-password")
    assert manage(migrated, "create_roles", DATABASE_URL=changed).returncode == 0
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(migrated["DATABASE_URL"])
    psycopg.connect(changed).close()
    assert manage(migrated, "create_roles").returncode == 0
    psycopg.connect(migrated["DATABASE_URL"]).close()


def test_it_refuses_one_role_for_both(production: dict[str, str]) -> None:
    refused = manage(production, "create_roles", OWNER_DATABASE_URL=production["DATABASE_URL"])
    assert refused.returncode == 1
    assert "Use two" in refused.stderr


def test_migrations_need_the_owner(production: dict[str, str]) -> None:
    refused = manage(production, "migrate", OWNER_DATABASE_URL="")
    assert refused.returncode == 1
    assert "OWNER_DATABASE_URL" in refused.stderr


def test_the_deployment_check_is_clean(production: dict[str, str]) -> None:
    done = manage(production, "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "value", "id_"),
    [
        ("SECRET_KEY", "", "promptops.E001"),
        ("SECRET_KEY", "short", "promptops.E002"),
        ("SECRET_KEY", "a" * 60, "promptops.E002"),
        ("ENCRYPTION_KEY", "", "promptops.E003"),
        ("ENCRYPTION_KEY", "A" * 43 + "=", "promptops.E004"),
        ("DEBUG", "1", "promptops.E005"),
    ],
)
def test_it_refuses_to_start_unsafely(production: dict[str, str], name: str, value: str, id_: str) -> None:
    served = subprocess.run(
        [sys.executable, "-c", "import promptops.asgi"],
        cwd=ROOT,
        env={**production, "DJANGO_SETTINGS_MODULE": "promptops.settings", name: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert served.returncode != 0, "the web server started"
    assert id_ in served.stderr


def test_the_check_says_how_to_mend_it(production: dict[str, str]) -> None:
    checked = manage(production, "check", SECRET_KEY="short")
    assert checked.returncode != 0
    assert "promptops.E002" in checked.stderr
    assert "secrets.token_urlsafe(48)" in checked.stderr


def test_it_warns_of_plain_http(production: dict[str, str]) -> None:
    checked = manage(production, "check", "--deploy", PUBLIC_URL=f"http://{HOST}")
    assert "promptops.W001" in checked.stderr


def test_it_serves_behind_a_proxy_with_tls(migrated: dict[str, str]) -> None:
    """The command of the container, asked as the proxy and the health check ask."""
    port = str(free_port())
    environment = {**migrated, "PORT": port}
    assert manage(environment, "process", "web", "--check").returncode == 1
    process = subprocess.Popen([sys.executable, "manage.py", "process", "web"], cwd=ROOT, env=environment)
    try:
        wait_until_well(environment, "web")
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": HOST}) as proxy:
            plain = proxy.get("/")
            assert (plain.status_code, plain.headers["location"]) == (301, f"https://{HOST}/")
            signed_out = proxy.get("/", headers={"X-Forwarded-Proto": "https"})
            assert signed_out.status_code == 302
            assert signed_out.headers["location"].startswith("/sign-in/")
            assert "includeSubDomains" in signed_out.headers["strict-transport-security"]
            assert proxy.get("/", headers={"Host": "evil.example"}).status_code == 400
            ready = proxy.get("/readyz")
            assert ready.status_code == 503  # no worker
            assert ready.json()["parts"]["database"] == {"ok": True}
    finally:
        process.terminate()
        assert process.wait(20) in (0, -15)


@pytest.mark.parametrize("name", ["worker-api", "beat"])
def test_a_container_knows_whether_it_is_well(migrated: dict[str, str], name: str) -> None:
    ill = manage(migrated, "process", name, "--check")
    assert ill.returncode == 1
    assert ill.stderr.strip()
    process = subprocess.Popen([sys.executable, "manage.py", "process", name], cwd=ROOT, env=migrated)
    try:
        wait_until_well(migrated, name)
    finally:
        process.terminate()
        process.wait(40)


def wait_until_well(environment: dict[str, str], name: str) -> None:
    end = time.monotonic() + 60
    while (checked := manage(environment, "process", name, "--check")).returncode != 0:
        assert time.monotonic() < end, checked.stderr
    assert checked.stdout.strip() == "well"


def test_it_answers_when_the_database_is_not_there_yet() -> None:
    """The process lives although its services do not: a container is not restarted for what it cannot mend."""
    with (
        serve(VALKEY_URL="unix:///nonexistent/valkey.sock", DATABASE_NAME="nowhere") as server,
        server.client() as client,
    ):
        assert client.get("/healthz").status_code == 200
        ready = client.get("/readyz")
        assert ready.status_code == 503
        parts = ready.json()["parts"]
        assert [name for name, part in parts.items() if part["ok"]] == []
        assert "nowhere" not in ready.text  # a public page
