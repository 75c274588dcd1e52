"""What an operator can set: environment variables with the prefix LETHE_, or a flag of the same name."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.audit.note import COSIGNATURE, Key
from infra.kek.reference import FORMS, is_reference
from infra.webhooks.reach import networks_of

PREFIX = "LETHE_"
# Read by the test suite, and inherited by the processes it starts.
NOT_SETTINGS = frozenset({"LETHE_REQUIRE_ALL", "LETHE_TORTURE"})
SECRETS = Path("/run/secrets")
RECIPIENTS = r"^age1[a-z0-9]{58}(,age1[a-z0-9]{58})*$"
BROKER = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")


class BadSettings(Exception):
    """The settings cannot be used. The text is one line that names the setting, and never shows its value."""


class Settings(BaseSettings):
    """The settings of one process. A container secret is read from /run/secrets, as `lethe_database_url`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data: Path = Field(
        Path(".lethe"), description="Folder of the embedded PostgreSQL, the KEK and checkpoints."
    )
    database_url: SecretStr | None = Field(None, description="PostgreSQL to use; absent: the embedded one.")
    kafka: str | None = Field(None, description="host:port[,host:port]; absent: views follow the log.")
    namespace: str = Field(
        "main", pattern=r"^[a-z][a-z0-9_-]{0,39}$", description="Prefix of topics; one a database."
    )
    kek: str | None = Field(
        None,
        description="Where the key-encryption key is: file:PATH or vault:https://HOST:PORT/MOUNT/KEY;"
        " absent: in the data.",
    )
    vault_token: SecretStr | None = Field(None, description="Token for a key-encryption key in Vault.")
    kek_epoch_days: int = Field(
        30, ge=0, le=3650, description="Days until the key-encryption key is rotated; 0: on demand only."
    )
    ledger: str | None = Field(
        None, description="Where the erasure ledger is: file:PATH; absent: in the data."
    )
    subscribers: str | None = Field(
        None, description="Who copies from the stream and acknowledges erasures: name[,name]."
    )
    state_topics: str | None = Field(
        None,
        pattern=r"^[a-z]+(,[a-z]+)*$",
        description="Views whose states go to compacted topics: name[,name]; absent: none.",
    )
    webhook_networks: str | None = Field(
        None,
        description="Networks (CIDR, by comma) that webhooks may reach though they are private, http too;"
        " absent: https to the public internet only.",
    )
    backups: Path | None = Field(None, description="Folder of the backups; old ones in it are deleted.")
    backup_recipient: str | None = Field(
        None, pattern=RECIPIENTS, description="Whom backups are for: public keys of age, age1...[,age1...]."
    )
    backup_keep_days: int = Field(35, ge=1, description="How long a backup is kept; the newest always is.")
    checkpoints: Path | None = Field(
        None, description="Folder that signed checkpoints are written to; absent: in the data."
    )
    checkpoint_seconds: float = Field(
        10, ge=0.1, le=86_400, description="How often a log that grew is signed, at most."
    )
    witnesses: str | None = Field(
        None, description="Verifier keys (C2SP vkeys, by comma) of those who may cosign checkpoints."
    )
    admin_token: SecretStr | None = Field(None, min_length=32, description="The first token; absent: made.")
    host: str = Field("127.0.0.1", min_length=1, description="Address that the API listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port that the API listens on; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=64, description="API processes.")
    # A projector that builds a view beside itself holds five.
    pool_size: int = Field(8, ge=6, le=200, description="Connections to PostgreSQL a process.")
    key_cache_seconds: int = Field(60, ge=0, le=60, description="How long an unwrapped key stays in memory.")
    access_durable: str = Field(
        "within_a_second",
        pattern="^(within_a_second|before_answer)$",
        description="When the note of who saw what is durable: within_a_second, or before_answer.",
    )
    access_retention_days: int = Field(
        1095, ge=30, le=36_500, description="How long the access log is kept; its hashes stay."
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="The least that is logged."
    )

    @field_validator("data")
    @classmethod
    def _is_absolute(cls, data: Path) -> Path:
        return data.expanduser().absolute()

    @field_validator("kafka")
    @classmethod
    def _names_brokers(cls, kafka: str | None) -> str | None:
        for broker in (kafka or "").split(",") if kafka is not None else ():
            found = BROKER.fullmatch(broker)
            if found is None or not 0 < int(found[2]) < 65536:
                raise ValueError("should be host:port[,host:port]")
        return kafka

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("should start with postgresql://")
        return url

    @field_validator("kek")
    @classmethod
    def _has_an_adapter(cls, kek: str | None) -> str | None:
        if kek is not None and not is_reference(kek):
            raise ValueError(f"should be {FORMS}")
        return kek

    @field_validator("webhook_networks")
    @classmethod
    def _are_networks(cls, networks: str | None) -> str | None:
        try:
            networks_of(networks)
        except ValueError:
            raise ValueError("should be networks such as 10.2.0.0/16[,fd00:7::/48]") from None
        return networks

    @field_validator("ledger")
    @classmethod
    def _is_a_file(cls, ledger: str | None) -> str | None:
        if ledger is not None and not (ledger.startswith("file:") and len(ledger) > len("file:")):
            raise ValueError("should be file:PATH")
        return ledger

    @property
    def ledger_path(self) -> Path:
        """The file of the erasure ledger: in a folder of its own in the data, unless told otherwise."""
        given = self.ledger and Path(self.ledger.removeprefix("file:")).expanduser().absolute()
        return given or self.data / "ledger" / "erasures.jsonl"

    @property
    def vault_token_value(self) -> str | None:
        """The token for Vault in clear."""
        return None if self.vault_token is None else self.vault_token.get_secret_value()

    @field_validator("witnesses")
    @classmethod
    def _are_witnesses(cls, witnesses: str | None) -> str | None:
        for vkey in (witnesses or "").split(",") if witnesses is not None else ():
            if Key.parse(vkey.strip()).kind != COSIGNATURE:
                raise ValueError("should be keys of the kind cosignature/v1")
        return witnesses

    @property
    def witness_keys(self) -> Sequence[Key]:
        """Whose cosignatures are taken."""
        return [Key.parse(it.strip()) for it in self.witnesses.split(",")] if self.witnesses else []

    @property
    def checkpoint_folder(self) -> Path:
        """Where signed checkpoints are written, to be taken elsewhere."""
        return (self.checkpoints or self.data / "checkpoints").expanduser().absolute()

    @property
    def kek_reference(self) -> str:
        """Where the key-encryption key is: a file in the data folder unless told otherwise."""
        return self.kek or f"file:{self.data / 'kek'}"

    @property
    def postgres_folder(self) -> Path:
        """The data folder of the embedded PostgreSQL."""
        return self.data / "postgres"


def load(**overrides: Any) -> Settings:
    """The settings from the environment; an override that is not None wins. Raises `BadSettings`."""
    _refuse_unknown(os.environ)
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(_secrets_dir=SECRETS if SECRETS.is_dir() else None, **given)
    except ValidationError as refusal:
        raise BadSettings("; ".join(_line(error) for error in refusal.errors())) from None


def _refuse_unknown(names: Iterable[str]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | NOT_SETTINGS
    unknown = sorted({it for it in names if it.upper().startswith(PREFIX) and it.upper() not in known})
    if unknown:
        raise BadSettings(f"{', '.join(unknown)}: no such setting")


def _line(error: Any) -> str:
    name = PREFIX + "_".join(str(part) for part in error["loc"]).upper()
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"
