"""Settings: what is taken, and the one line that refuses the rest."""

from pathlib import Path

import pytest

from infra import settings
from infra.settings import BadSettings, load


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(f"LETHE_{name.upper()}", raising=False)


def test_with_nothing_set_everything_has_a_value() -> None:
    loaded = load()
    assert (loaded.namespace, loaded.port, loaded.kafka, loaded.database_url) == ("main", 8080, None, None)
    assert loaded.data == Path.cwd() / ".lethe"
    assert loaded.kek_reference == f"file:{Path.cwd()}/.lethe/kek"


def test_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_PORT", "9000")
    assert load().port == 9000
    assert load(port=None).port == 9000
    assert load(port=9001).port == 9001


def test_an_empty_variable_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_KAFKA", "")
    assert load().kafka is None


def test_an_unknown_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_NAMESPCE", "main")
    with pytest.raises(BadSettings, match="^LETHE_NAMESPCE: no such setting$"):
        load()


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("PORT", "eighty", "valid integer"),
        ("PORT", "65536", "less than or equal to 65535"),
        ("KAFKA", "broker", "host:port"),
        ("KAFKA", "broker:0", "host:port"),
        ("KAFKA", "a:9092,,b:9092", "host:port"),
        ("NAMESPACE", "Main Street", "pattern"),
        ("DATABASE_URL", "mysql://x", "postgresql://"),
        ("ADMIN_TOKEN", "short", "32"),
        ("KEK", "vault:transit/lethe", "vault:https://HOST:PORT/MOUNT/KEY"),
        ("KEK", "vault:http://elsewhere:8200/transit/lethe", "vault:https://HOST:PORT/MOUNT/KEY"),
        ("KEK_EPOCH_DAYS", "-1", "greater than or equal to 0"),
        ("KEY_CACHE_SECONDS", "61", "60"),
        ("CHECKPOINT_SECONDS", "0", "greater than or equal to 0.1"),
        ("WITNESSES", "witness.example+00000000+AAAA", "verifier key"),
        (
            "WITNESSES",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "cosignature/v1",
        ),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, rule: str
) -> None:
    monkeypatch.setenv(f"LETHE_{name}", value)
    with pytest.raises(BadSettings) as refusal:
        load()
    line = str(refusal.value)
    assert line.startswith(f"LETHE_{name}: ")
    assert rule in line
    assert "\n" not in line


def test_a_refusal_never_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_ADMIN_TOKEN", "hunter2")
    monkeypatch.setenv("LETHE_DATABASE_URL", "mysql://root:hunter2@db")
    with pytest.raises(BadSettings) as refusal:
        load()
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_secret_stays_out_of_the_text_of_the_settings() -> None:
    assert "hunter2" not in repr(load(database_url="postgresql://root:hunter2@db/lethe"))


def test_a_container_secret_is_read_from_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "lethe_database_url").write_text("postgresql://db/lethe\n")
    monkeypatch.setattr(settings, "SECRETS", tmp_path)
    url = load().database_url
    assert url is not None
    assert url.get_secret_value() == "postgresql://db/lethe"
