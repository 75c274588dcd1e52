"""Makes a backup: every table in one snapshot, streamed into an encrypted archive. Nobody waits for it."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import Connection, sql
from pyrage.x25519 import Recipient

from infra.backup.archive import (
    CHUNK_BYTES,
    FORM,
    HEADER,
    MANIFEST,
    TABLES,
    ArchiveWriter,
    digest_of,
    writing,
)
from infra.backup.tables import Table, act_as, sequences_of, tables_of
from infra.postgres.migrate import applied_migrations

SNAPSHOT: LiteralString = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
POSITION: LiteralString = "SELECT coalesce(max(position), 0), count(*) FROM log.events"
EPOCH: LiteralString = "SELECT number, kek_id FROM keys.all_epochs() ORDER BY number DESC LIMIT 1"
TREE: LiteralString = "SELECT size, encode(root, 'hex') FROM audit.trees WHERE log = 'log'"

Progress = Callable[[int, int], None]
"""Told how many bytes are copied, and about how many there are."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a backup when it begins: the same in the archive and in the open beside it."""

    id: str
    namespace: str
    made_at: str
    position: int
    events: int
    epoch: int
    kek_id: str
    tree_size: int
    tree_root: str
    migrations: list[str]
    server: int
    lethe: str
    form: str = FORM


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that is whole, on disk."""

    header: Header
    path: Path
    size_bytes: int
    sha256: str


def make_backup(
    url: str,
    to: Path,
    recipients: Sequence[Recipient],
    *,
    id: UUID,
    namespace: str,
    now: datetime,
    progress: Progress = lambda done, total: None,
) -> Made:
    """Write the backup. Blocks. An interrupted one leaves nothing under its final name.

    `to` is a folder, or the file to be made. Beside it comes the same name with `.json`: what it is, its size
    and its SHA-256, without anything of what is in it.
    """
    path = to / f"lethe-{namespace}-{now:%Y%m%dT%H%M%SZ}.age" if to.is_dir() else to
    if path.exists():
        raise FileExistsError(path)
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    migrations = sorted(applied_migrations(url))
    with psycopg.connect(url, application_name="lethe backup") as connection:
        connection.execute(SNAPSHOT)
        header = _header(connection, id=id, namespace=namespace, now=now, migrations=migrations)
        with writing(partial, recipients) as archive:
            archive.add(HEADER, _json(asdict(header)))
            _copy_tables(connection, archive, progress)
    size, digest = digest_of(partial)
    partial.rename(path)
    about = {**asdict(header), "file": path.name, "size_bytes": size, "sha256": digest}
    path.with_name(f"{path.name}.json").write_bytes(_json(about))
    return Made(header, path, size, digest)


def _header(
    connection: Connection[Any], *, id: UUID, namespace: str, now: datetime, migrations: list[str]
) -> Header:
    position, events = _one(connection, POSITION)
    epoch, kek_id = _one(connection, EPOCH)
    size, root = connection.execute(TREE).fetchone() or (0, hashlib.sha256().hexdigest())
    return Header(
        id=str(id),
        namespace=namespace,
        made_at=now.isoformat(),
        position=position,
        events=events,
        epoch=epoch,
        kek_id=kek_id,
        tree_size=size,
        tree_root=root,
        migrations=migrations,
        server=connection.info.server_version,
        lethe=version("lethe"),
    )


def _copy_tables(connection: Connection[Any], archive: ArchiveWriter, progress: Progress) -> None:
    tables = tables_of(connection)
    total = sum(it.size_bytes for it in tables)
    copied = {}
    for table in tables:
        act_as(connection, table)
        copied[table.full_name] = _copy_table(connection, table, archive, lambda done: progress(done, total))
    connection.execute("RESET ROLE")
    manifest = {"tables": copied, "sequences": sequences_of(connection)}
    archive.add(MANIFEST, _json(manifest))


def _copy_table(
    connection: Connection[Any], table: Table, archive: ArchiveWriter, progress: Callable[[int], None]
) -> dict[str, Any]:
    digest, number, chunk = hashlib.sha256(), 0, bytearray()

    def put() -> None:
        nonlocal number
        digest.update(chunk)
        archive.add(f"{TABLES}{table.full_name}/{number:06}", bytes(chunk))
        number += 1
        chunk.clear()
        progress(archive.bytes)

    query = sql.SQL("COPY {} ({}) TO STDOUT (FORMAT binary)").format(table.identifier, table.columns_list())
    with connection.cursor() as cursor:
        with cursor.copy(query) as copy:
            for data in copy:
                chunk += data
                if len(chunk) >= CHUNK_BYTES:
                    put()
        put()
        return {"columns": table.columns, "rows": cursor.rowcount, "sha256": digest.hexdigest()}


def _one(connection: Connection[Any], query: LiteralString) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None, query  # noqa: S101 - these always have one
    return tuple(row)


def _json(document: Any) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"
