"""Restores a backup into an empty database: whole, as checked against its own sums, or not at all."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import Connection, sql
from pyrage.x25519 import Identity

from infra.backup.archive import FORM, HEADER, MANIFEST, TABLES, BackupUnfit, reading
from infra.backup.making import POSITION, Header
from infra.backup.tables import Table, act_as, set_sequences, tables_of
from infra.postgres.migrate import DatabaseUnfit, applied_migrations, migrate

Members = Iterator[tuple[str, bytes]]
Progress = Callable[[int], None]
"""Told how many bytes are restored."""

ANY_KEYS: LiteralString = "SELECT EXISTS (SELECT FROM keys.identity()) OR EXISTS (SELECT FROM log.events)"


@dataclass(frozen=True, slots=True)
class Restored:
    """What is in the database now, and held to the backup's own sums."""

    header: Header
    tables: int
    rows: int


async def restore_backup(
    url: str,
    path: Path,
    identities: Sequence[Identity],
    progress: Progress = lambda done: None,
    *,
    namespace: str | None = None,
) -> Restored:
    """Fill an empty database from a backup; then bring it to the present schema.

    Raises `BackupUnfit`: for a database that is not empty, a backup that was changed, cut short, for another
    identity or of a later release. Then nothing of it is in the database but the empty schema.
    """
    header = await asyncio.to_thread(read_header, path, identities)
    if header.form != FORM:
        raise BackupUnfit(f"the backup is of the form {header.form!r}; this release reads {FORM!r}")
    if namespace is not None and header.namespace != namespace:
        raise BackupUnfit(f"the backup is of the namespace {header.namespace!r}, not {namespace!r}")
    try:
        await asyncio.to_thread(_check_empty, url, header)
        await migrate(url, namespace=header.namespace, only=header.migrations)
    except DatabaseUnfit as error:
        raise BackupUnfit(str(error)) from None
    restored = await asyncio.to_thread(_fill, url, path, identities, progress)
    await migrate(url, namespace=header.namespace)
    return restored


def read_header(path: Path, identities: Sequence[Identity]) -> Header:
    """What the backup is. Raises `BackupUnfit`."""
    with reading(path, identities) as members:
        return _header(members)


def _header(members: Members) -> Header:
    name, content = next(members, ("", b""))
    if name != HEADER:
        raise BackupUnfit("this is no backup of Lethe")
    try:
        return Header(**json.loads(content))
    except (TypeError, ValueError):
        raise BackupUnfit("the backup's header is of a later release") from None


def _check_empty(url: str, header: Header) -> None:
    applied = applied_migrations(url)
    if applied - set(header.migrations):
        raise BackupUnfit("the database is in use, or of a later release: restore into an empty one")
    if not applied:
        return
    with psycopg.connect(url) as connection:
        if connection.execute(ANY_KEYS).fetchone() != (False,):
            raise BackupUnfit("the database is not empty: restore into an empty one")


def _fill(url: str, path: Path, identities: Sequence[Identity], progress: Progress) -> Restored:
    """Everything in one transaction, so that a failure leaves nothing."""
    with (
        psycopg.connect(url, application_name="lethe restore") as connection,
        reading(path, identities) as members,
    ):
        header = _header(members)
        tables = {it.full_name: it for it in tables_of(connection)}
        for table in reversed(tables.values()):
            act_as(connection, table)
            connection.execute(sql.SQL("DELETE FROM {}").format(table.identifier))
        filling = _Filling(connection, tables, progress)
        manifest = filling.run(members)
        filling.check(manifest)
        connection.execute("RESET ROLE")
        set_sequences(connection, map(tuple, manifest["sequences"]))
        if connection.execute(POSITION).fetchone() != (header.position, header.events):
            raise BackupUnfit("the restored log is not what the backup's header says")
        return Restored(header, len(filling.rows), sum(filling.rows.values()))


class _Filling:
    """Copies table after table, as the members come."""

    def __init__(self, connection: Connection[Any], tables: dict[str, Table], progress: Progress) -> None:
        self.rows: dict[str, int] = {}
        self._connection = connection
        self._tables = tables
        self._progress = progress
        self._digests: dict[str, str] = {}
        self._bytes = 0

    def run(self, members: Members) -> Any:
        """All tables; answers with the manifest that ends them."""
        for (place, name), pieces in groupby(members, key=lambda it: _table_of(it[0])):
            if place != TABLES:
                [(_, content)] = pieces
                return json.loads(content)
            table = self._tables.get(name)
            if table is None or name in self._digests:
                raise BackupUnfit(f"the backup has an odd table {name!r}")
            act_as(self._connection, table)
            self.rows[name], self._digests[name] = self._copy(table, pieces)
        raise BackupUnfit("the backup has no end: it was cut short")

    def _copy(self, table: Table, pieces: Members) -> tuple[int, str]:
        digest = hashlib.sha256()
        query = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)")
        with self._connection.cursor() as cursor:
            with cursor.copy(query.format(table.identifier, table.columns_list())) as copy:
                for _, content in pieces:
                    digest.update(content)
                    copy.write(content)
                    self._bytes += len(content)
                    self._progress(self._bytes)
            return cursor.rowcount, digest.hexdigest()

    def check(self, manifest: Any) -> None:
        """Raises `BackupUnfit` unless every table came, whole."""
        for name, said in manifest["tables"].items():
            if (self.rows.get(name), self._digests.get(name)) != (said["rows"], said["sha256"]):
                raise BackupUnfit(f"the table {name} is not what the backup's manifest says")
        if missing := self._tables.keys() - manifest["tables"].keys():
            raise BackupUnfit(f"the backup lacks the table {min(missing)}")


def _table_of(name: str) -> tuple[str, str]:
    """A member's place, and the table that it is a piece of."""
    if name == MANIFEST:
        return MANIFEST, ""
    return TABLES, name.removeprefix(TABLES).rpartition("/")[0]
