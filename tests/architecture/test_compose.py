"""docker-compose.yml: valid by the Compose specification, complete, and without a secret in it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from infra.settings import Settings, load

REPOSITORY = Path(__file__).parents[2]
FILE = REPOSITORY / "docker-compose.yml"
OURS = {"migrate", "api", "relay", "projector", "scheduler"}
NOT_PASSED = {
    *("data", "host", "port"),  # the image sets them
    *("database_url", "admin_token", "vault_token"),  # secrets, in files
    *("kek", "ledger", "checkpoints"),  # in the volume of the data; elsewhere needs a mount as well
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file as Compose reads it where nothing is set: defaults put in first, then merges resolved."""
    text = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", FILE.read_text())
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def strictly(compose: dict[str, Any]) -> PyCompose:
    """Parsed by the Compose specification, which knows every key and the form of every value."""
    return PyCompose.from_yaml(yaml.safe_dump(compose))


def test_it_is_valid_by_the_compose_specification(compose: dict[str, Any]) -> None:
    assert set(strictly(compose).service_names()) == {"postgres", "kafka", *OURS}


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [
        ("api", "helthcheck", {}),
        ("kafka", "ports", ["nowhere"]),
        ("api", "healthcheck", {"interval": "often"}),
    ],
)
def test_a_slip_would_be_found(compose: dict[str, Any], service: str, key: str, value: object) -> None:
    slipped = {**compose["services"], service: {**compose["services"][service], key: value}}
    with pytest.raises(ValueError, match=service):
        strictly({**compose, "services": slipped})


def test_every_lasting_service_has_a_health_check(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert ("test" in service["healthcheck"]) is (name != "migrate"), name


def test_only_settings_that_exist_are_set(compose: dict[str, Any]) -> None:
    known = {f"LETHE_{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        service = compose["services"][name]
        assert set(service["environment"]) <= known
        assert {secret.upper() for secret in service["secrets"]} <= known


def test_each_setting_is_passed_on_unless_it_is_known_why_not(compose: dict[str, Any]) -> None:
    api, scheduler = (
        compose["services"]["api"]["environment"],
        compose["services"]["scheduler"]["environment"],
    )
    assert {f"LETHE_{it.upper()}" for it in Settings.model_fields if it not in NOT_PASSED} == {
        *api,
        *scheduler,
    }
    for name in OURS - {"api", "scheduler"}:
        assert compose["services"][name]["environment"].items() <= api.items() & scheduler.items()


def test_what_is_left_empty_is_as_if_not_set(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = compose["services"]["relay"]["environment"]
    assert "LETHE_STATE_TOPICS" in passed
    for name, value in passed.items():
        monkeypatch.setenv(name, value or "")
    assert load(data=Path("/data")) == Settings(data=Path("/data"), kafka="kafka:9092")


def test_every_volume_and_secret_that_is_used_is_declared(compose: dict[str, Any]) -> None:
    services = compose["services"].values()
    used = {volume.split(":")[0] for service in services for volume in service["volumes"]}
    assert used == set(compose["volumes"])
    assert {it for service in services for it in service.get("secrets", [])} == set(compose["secrets"])


def test_secrets_are_files_and_none_is_in_the_compose_file(compose: dict[str, Any]) -> None:
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            secret = re.search("PASSWORD|TOKEN|SECRET|KEK|URL", name)
            assert not secret or value is None or str(value).startswith("/run/secrets/"), name
    assert "secrets/" in (REPOSITORY / ".gitignore").read_text().splitlines()


def test_the_image_does_not_run_as_root_and_holds_no_test_tool() -> None:
    final = (REPOSITORY / "Dockerfile").read_text().split("FROM ")[-1]
    assert re.search(r"^USER lethe$", final, re.MULTILINE)
    assert "pip" not in final
