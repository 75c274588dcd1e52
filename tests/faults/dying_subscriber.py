"""A subscriber that is killed at its nth statement, for every n; each time another one ends the work.

`python -m tests.faults.dying_subscriber FOLDER [CONNINFO]` prints the number of kills. It forks: nothing else
runs in this process.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from lethe_subscriber import PostgreSQL, SQLite
from lethe_subscriber.events import TicketClosed, TicketReopened
from lethe_subscriber.stores import Row, Store

from tests.subscriber.listed import NOTES, A, B, C, ListedSource, Noting, received

VERSIONS = ((A, 1), (B, 1), (A, 2), (B, 2), (C, 1), (A, 3), (C, 3), (B, 3), (C, 2), (A, 2))
POISON = {(B, 2)}
EXPECTED = [(A, 1), (B, 1), (A, 2), (C, 1), (A, 3), (C, 2), (C, 3)]
PARKED = [(B, 2, "failed", 1), (B, 3, "behind", 0)]
STATEMENTS_MAX = 1_000


class Dying:
    """Counts statements, and is killed before the one that it is told."""

    die_at = 0
    done = 0

    def count(self) -> None:
        self.done += 1
        if self.done == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)


class DyingSQLite(SQLite, Dying):
    def open(self, tables: Sequence[str]) -> None:
        super().open(tables)
        # A killed process leaves its writes to the system; to wait for the disk would only take time.
        self.connection.execute("PRAGMA synchronous = OFF")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        self.count()
        return super().execute(statement, values)


class DyingPostgreSQL(PostgreSQL, Dying):
    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        self.count()
        return super().execute(statement, values)


def run(store: Store[Any]) -> Noting:
    """Follow the same ten events to their end: one comes twice, one late, one fails."""
    events = [
        received(id_, version, position=position) for position, (id_, version) in enumerate(VERSIONS, 1)
    ]
    it = Noting(ListedSource(*events, page=3), store, (TicketClosed, TicketReopened))
    it.poison = POISON
    it.run()
    return it


def dies(store: Store[Any]) -> bool:
    """Run it in a process of its own; whether that was killed."""
    child = os.fork()
    if child == 0:
        logging.disable()
        run(store)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def main(folder: Path, conninfo: str | None) -> int:
    for die_at in range(1, STATEMENTS_MAX):
        store: DyingSQLite | DyingPostgreSQL
        if conninfo is None:
            store = DyingSQLite(folder / f"{die_at}.db", NOTES)
        else:
            schema = f"dying_{die_at}"
            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.execute(f"CREATE SCHEMA {schema}")
            store = DyingPostgreSQL(f"{conninfo} options='-c search_path={schema}'", NOTES)
        store.die_at = die_at
        if not dies(store):
            return die_at - 1
        store.die_at = 0
        after = run(store)
        # What happened, and in each record's order: the records among each other may come otherwise.
        assert sorted(after.noted()) == sorted(EXPECTED), die_at
        for record in (A, B, C):
            assert [it for it in after.noted() if it[0] == record] == [
                it for it in EXPECTED if it[0] == record
            ]
        letters = after.subscriber.dead_letters()
        assert [(it.aggregate_id, it.version, it.cause, it.attempts) for it in letters] == PARKED, die_at
    raise AssertionError("it never came to the end")


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
