"""docker-compose.yml and Dockerfile: what they promise. Where docker-compose is installed, it must accept them too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from promptops.core.installation import Installation
from tests.platform.test_document import documented

ROOT = Path(__file__).resolve().parent.parent.parent
SECRETS = ("SECRET_KEY", "ENCRYPTION_KEY", "POSTGRES_PASSWORD", "OWNER_PASSWORD", "APP_PASSWORD", "VALKEY_PASSWORD")
LONG_RUNNING = {"postgres", "valkey", "web", "worker-api", "worker-local", "beat"}
# Decided by the images, or of no use in a container.
FIXED_IN_CONTAINERS = {
    *("DATA_DIR", "LOCAL_MODELS_DIR", "PORT", "STATIC_ROOT", "STATIC_MANIFEST", "TIKTOKEN_CACHE_DIR"),
    *("DATABASE_NAME", "DATABASE_POOL", "DEBUG", "ALLOW_SCRIPTED_PROVIDER"),
}
OURS = {"migrate", "web", "worker-api", "worker-local", "worker-local-gpu", "model", "beat"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def test_it_has_every_process_and_each_is_watched(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) >= LONG_RUNNING
    for name in LONG_RUNNING:
        assert services[name]["healthcheck"]["test"], name
        assert services[name]["restart"] == "unless-stopped", name


def test_it_starts_ours_when_the_migrations_are_done(services: dict[str, dict[str, Any]]) -> None:
    for name in OURS - {"migrate"}:
        needed = services[name]["depends_on"]
        assert needed["migrate"] == {"condition": "service_completed_successfully"}, name
        assert needed["valkey"] == {"condition": "service_healthy"}, name
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "create_roles" in services["migrate"]["command"][-1]
    assert "manage.py migrate" in services["migrate"]["command"][-1]


def test_it_takes_every_secret_from_the_environment_and_refuses_without(services: dict[str, dict[str, Any]]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in SECRETS:
        assert re.search(r"\$\{" + name + r":\?[^}]+\}", text), f"{name} may be missing"
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|URL|AUTH", name):
                assert "${" in value, f"{name} is written down"


def test_only_the_migrations_know_the_owner_and_the_superuser(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        told = " ".join(f"{key}={value}" for key, value in service.get("environment", {}).items())
        assert ("OWNER" in told) == (name == "migrate"), name
        assert ("POSTGRES_PASSWORD" in told) == (name in ("migrate", "postgres")), name


def test_it_keeps_what_must_be_kept_in_named_volumes(compose: dict[str, Any]) -> None:
    services = compose["services"]
    kept = {name: services[name]["volumes"] for name in ("postgres", "valkey", "worker-local", "web")}
    assert kept["postgres"] == ["postgres:/var/lib/postgresql"]
    assert kept["valkey"] == ["valkey:/data"]
    assert kept["web"] == kept["worker-local"] == ["data:/data"]  # both read the models' files
    assert set(compose["volumes"]) == {"postgres", "valkey", "data"}


def test_it_opens_one_port_to_this_machine_alone(services: dict[str, dict[str, Any]]) -> None:
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "web": ["${BIND:-127.0.0.1}:${PORT:-8000}:8000"]
    }


def test_it_reserves_a_gpu_only_where_asked(services: dict[str, dict[str, Any]]) -> None:
    with_gpu = [name for name, service in services.items() if "deploy" in service]
    assert with_gpu == ["worker-local-gpu"]
    gpu = services["worker-local-gpu"]
    assert gpu["profiles"] == ["gpu"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert gpu["command"] == services["worker-local"]["command"]


def test_ours_can_do_no_more_than_they_must(services: dict[str, dict[str, Any]]) -> None:
    for name in OURS:
        assert services[name]["read_only"] is True, name
        assert services[name]["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in services[name]["security_opt"], name


def test_its_commands_exist(services: dict[str, dict[str, Any]]) -> None:
    from django.core.management import get_commands

    ours = [service for name, service in services.items() if name in OURS]
    lines = [" ".join(service.get("command", [])) for service in ours]
    lines += [" ".join(service.get("healthcheck", {}).get("test", [])) for service in ours]
    used = {command for line in lines for command in re.findall(r"manage\.py (\w+)", line)}
    assert used == {"create_roles", "migrate", "prepare_model", "process"}
    assert used <= set(get_commands())


def test_every_variable_is_one_that_the_settings_read(services: dict[str, dict[str, Any]]) -> None:
    read = "".join(
        (ROOT / "promptops" / name).read_text() for name in ("settings.py", "management/commands/process.py")
    )
    read += (ROOT / "promptops/management/commands/create_roles.py").read_text()
    for name in services["web"]["environment"] | services["migrate"]["environment"]:
        assert f'"{name}"' in read, name


def test_what_an_operator_may_set_reaches_the_containers(services: dict[str, dict[str, Any]]) -> None:
    named = services["web"]["environment"] | services["migrate"]["environment"]
    assert documented() - set(named) == FIXED_IN_CONTAINERS


def test_docker_compose_accepts_it(tmp_path: Path) -> None:
    """Structure is asserted above in any case; here the tool itself reads it, with and without the secrets."""
    command = _docker_compose()
    if command is None:
        assert shutil.which("docker-compose") is None
        return
    environment = {**_bare_environment(), "PUBLIC_URL": "https://prompts.example.com"}
    secrets = dict.fromkeys(SECRETS, "not-a-secret")
    # Not the `.env` that somebody has there for real.
    (tmp_path / "empty.env").touch()
    command += ["--file", str(ROOT / "docker-compose.yml"), "--env-file", str(tmp_path / "empty.env")]
    accepted = _config(command, {**environment, **secrets}, "--profile", "gpu")
    assert accepted.returncode == 0, accepted.stderr
    assert set(yaml.safe_load(accepted.stdout)["services"]) == OURS | {"postgres", "valkey"}
    for name in ("SECRET_KEY", "APP_PASSWORD"):  # each start takes the tool a second; above, all are looked at
        refused = _config(command, {**environment, **{key: value for key, value in secrets.items() if key != name}})
        assert refused.returncode != 0, f"started without {name}"
        assert "docker-compose.yml" in refused.stderr


def _docker_compose() -> list[str] | None:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    return None


def _config(command: list[str], environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *options, "config"], env=environment, capture_output=True, text=True, check=False)


def _bare_environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


# --- Dockerfile ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stages() -> dict[str, str]:
    """The Dockerfile's text by stage."""
    text = (ROOT / "Dockerfile").read_text()
    parts = re.split(r"^FROM \S+ AS (\S+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_images_run_as_a_user_without_rights(stages: dict[str, str]) -> None:
    assert "USER promptops" in stages["runtime"]
    for final in ("local", "app"):
        assert "USER" not in stages[final]
    assert list(stages)[-1] == "app", "the default target is the last one"


def test_the_images_hold_no_secret_and_no_compiler_of_the_front_end(stages: dict[str, str]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"(SECRET_KEY|ENCRYPTION_KEY|PASSWORD)\s*=", dockerfile)
    for final in ("runtime", "local", "app"):
        assert "npm" not in stages[final]
        assert "pip install" not in stages[final]
    secrets = Installation.at("/tmp/build").data_dir
    assert f"rm -rf {secrets}" in stages["application"], "collectstatic makes secrets for itself"


def test_the_builder_is_sent_only_what_the_images_are_made_of() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE):
        copied |= {source.split("/")[0] for source in line.split()[:-1]}
    assert sent == copied
    for name in sent:
        assert (ROOT / name).exists(), name
