"""What a subscriber remembers, in its own database, beside what its handlers write there.

Several subscribers may share a database: each row belongs to one, by its name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from lethe_subscriber.received import Received
from lethe_subscriber.sources import Mark, Page
from lethe_subscriber.stores import Row, Store

TABLES: Final = (
    """
CREATE TABLE IF NOT EXISTS lethe_marks (
    subscriber TEXT NOT NULL,
    source TEXT NOT NULL,
    part TEXT NOT NULL,
    settled_end BIGINT NOT NULL,
    last_position BIGINT NOT NULL,
    last_id TEXT,
    PRIMARY KEY (subscriber, source, part)
)""",
    """
CREATE TABLE IF NOT EXISTS lethe_versions (
    subscriber TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (subscriber, aggregate_id)
)""",
    """
CREATE TABLE IF NOT EXISTS lethe_dead_letters (
    subscriber TEXT NOT NULL,
    id TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    cause TEXT NOT NULL,
    error TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    parked_at TEXT NOT NULL,
    skipped_at TEXT,
    skipped_because TEXT,
    event TEXT NOT NULL,
    PRIMARY KEY (subscriber, id)
)""",
    """
CREATE TABLE IF NOT EXISTS lethe_acknowledgements (
    subscriber TEXT NOT NULL,
    erasure_id TEXT NOT NULL,
    PRIMARY KEY (subscriber, erasure_id)
)""",
)

FAILED: Final = "failed"
"""Its handler raised."""
BEHIND: Final = "behind"
"""It waits for an earlier letter of its record."""
GAP: Final = "gap"
"""Events of its record are missing before it."""

LETTER: Final = (
    "id, aggregate_id, version, cause, error, attempts, parked_at, skipped_at, skipped_because, event"
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be applied, or that waits for one of its record that could not."""

    id: str
    """The event's id."""
    aggregate_id: str
    version: int
    cause: str
    """`failed`, `behind` or `gap`."""
    error: str
    """What was raised and where; never its text, which may hold what the event says."""
    attempts: int
    parked_at: str
    skipped_at: str | None
    skipped_because: str | None
    event: Received

    @property
    def type(self) -> str:
        """Such as `ticket.opened`."""
        return self.event.type


class Ledger:
    """The rows of one subscriber. All of it but `marks` is to be called inside a transaction."""

    def __init__(self, subscriber: str, store: Store[Any]) -> None:
        self.subscriber = subscriber
        self.store = store

    def marks(self, source: str) -> Mapping[str, Mark]:
        """How far each part of the source is settled."""
        rows = self.store.execute(
            "SELECT part, settled_end, last_position, last_id FROM lethe_marks"
            " WHERE subscriber = %s AND source = %s",
            [self.subscriber, source],
        )
        return {part: Mark(end, position, id_) for part, end, position, id_ in rows}

    def advance(self, source: str, page: Page) -> None:
        """The parts of the page are settled to its end. They never go back."""
        mark = page.mark
        for part in sorted(page.parts):
            self.store.execute(
                "INSERT INTO lethe_marks (subscriber, source, part, settled_end, last_position, last_id)"
                " VALUES (%s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (subscriber, source, part) DO UPDATE SET settled_end = excluded.settled_end,"
                " last_position = CASE WHEN excluded.last_id IS NULL THEN lethe_marks.last_position"
                " ELSE excluded.last_position END, last_id = coalesce(excluded.last_id, lethe_marks.last_id)"
                " WHERE excluded.settled_end > lethe_marks.settled_end",
                [self.subscriber, source, part, mark.end, mark.last_position, mark.last_id],
            )

    def versions(self, aggregates: Iterable[str], *, reserved: bool = False) -> dict[str, int]:
        """The last settled version of each record; 0 of a new one.

        With `reserved`, nobody else settles events of these records until the transaction ends.
        """
        ids = sorted(set(aggregates))
        if not ids:
            return {}
        if reserved:
            values = [value for it in ids for value in (self.subscriber, it)]
            rows = ", ".join(["(%s, %s, 0)"] * len(ids))
            self.store.execute(
                f"INSERT INTO lethe_versions (subscriber, aggregate_id, version) VALUES {rows}"  # noqa: S608
                " ON CONFLICT (subscriber, aggregate_id) DO NOTHING",
                values,
            )
        known = self.store.execute(
            "SELECT aggregate_id, version FROM lethe_versions"  # noqa: S608
            f" WHERE subscriber = %s AND aggregate_id IN ({_places(ids)}) ORDER BY aggregate_id"
            + (self.store.for_update if reserved else ""),
            [self.subscriber, *ids],
        )
        return dict.fromkeys(ids, 0) | dict(known)

    def settle(self, versions: Mapping[str, int]) -> None:
        """These are the last settled versions of these records. They are reserved."""
        if not versions:
            return
        rows = ", ".join(["(%s, %s, %s)"] * len(versions))
        self.store.execute(
            f"INSERT INTO lethe_versions (subscriber, aggregate_id, version) VALUES {rows}"  # noqa: S608
            " ON CONFLICT (subscriber, aggregate_id) DO UPDATE SET version = excluded.version",
            [value for id_, version in versions.items() for value in (self.subscriber, id_, version)],
        )

    def last_parked(self, aggregates: Iterable[str]) -> dict[str, int]:
        """The highest version that is parked of each record that has dead letters."""
        ids = sorted(set(aggregates))
        if not ids:
            return {}
        rows = self.store.execute(
            "SELECT aggregate_id, max(version) FROM lethe_dead_letters"  # noqa: S608
            " WHERE subscriber = %s AND skipped_at IS NULL"
            f" AND aggregate_id IN ({_places(ids)}) GROUP BY aggregate_id",
            [self.subscriber, *ids],
        )
        return dict(rows)

    def park(self, event: Received, cause: str, error: str) -> None:
        """Put it among the dead letters; a further failure of one that is there already is counted."""
        self.store.execute(
            "INSERT INTO lethe_dead_letters"
            " (subscriber, id, aggregate_id, version, cause, error, attempts, parked_at, event)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (subscriber, id) DO UPDATE SET cause = excluded.cause, error = excluded.error,"
            " attempts = lethe_dead_letters.attempts + excluded.attempts",
            [
                self.subscriber,
                event.id,
                event.aggregate_id,
                event.version,
                cause,
                error,
                int(cause == FAILED),
                _now(),
                event.text,
            ],
        )

    def letters(self, aggregate_id: str | None = None, *, skipped: bool = False) -> list[DeadLetter]:
        """The dead letters, each record's in order; of one record, or of all; or those skipped."""
        condition, values = "", [self.subscriber]
        if aggregate_id is not None:
            condition, values = " AND aggregate_id = %s", [self.subscriber, aggregate_id]
        rows = self.store.execute(
            f"SELECT {LETTER} FROM lethe_dead_letters WHERE subscriber = %s"  # noqa: S608
            f" AND skipped_at IS {'NOT NULL' if skipped else 'NULL'}{condition}"
            " ORDER BY aggregate_id, version",
            values,
        )
        return [_letter(it) for it in rows]

    def letter(self, id_: str) -> DeadLetter | None:
        """The letter of this event, skipped or not."""
        rows = self.store.execute(
            f"SELECT {LETTER} FROM lethe_dead_letters WHERE subscriber = %s AND id = %s",  # noqa: S608
            [self.subscriber, id_],
        )
        return _letter(rows[0]) if rows else None

    def first_letters(self) -> list[DeadLetter]:
        """The first letter of each record that has any."""
        rows = self.store.execute(
            f"SELECT {LETTER} FROM lethe_dead_letters AS it"  # noqa: S608
            " WHERE subscriber = %s AND skipped_at IS NULL AND NOT EXISTS ("
            "SELECT 1 FROM lethe_dead_letters AS earlier WHERE earlier.subscriber = it.subscriber"
            " AND earlier.aggregate_id = it.aggregate_id AND earlier.version < it.version"
            " AND earlier.skipped_at IS NULL) ORDER BY parked_at",
            [self.subscriber],
        )
        return [_letter(it) for it in rows]

    def remove(self, letter: DeadLetter) -> None:
        """It is applied after all."""
        self.store.execute(
            "DELETE FROM lethe_dead_letters WHERE subscriber = %s AND id = %s", [self.subscriber, letter.id]
        )

    def mark_skipped(self, letter: DeadLetter, reason: str) -> None:
        """It will not be applied; the letter stays, with the reason."""
        self.store.execute(
            "UPDATE lethe_dead_letters SET skipped_at = %s, skipped_because = %s"
            " WHERE subscriber = %s AND id = %s",
            [_now(), reason, self.subscriber, letter.id],
        )

    def owe(self, erasure_id: str) -> None:
        """The erasure is to be acknowledged once the transaction is stored."""
        self.store.execute(
            "INSERT INTO lethe_acknowledgements (subscriber, erasure_id) VALUES (%s, %s)"
            " ON CONFLICT (subscriber, erasure_id) DO NOTHING",
            [self.subscriber, erasure_id],
        )

    def owed(self) -> Sequence[str]:
        """The erasures to acknowledge."""
        rows = self.store.execute(
            "SELECT erasure_id FROM lethe_acknowledgements WHERE subscriber = %s", [self.subscriber]
        )
        return [it for (it,) in rows]

    def paid(self, erasure_id: str) -> None:
        """The erasure is acknowledged."""
        self.store.execute(
            "DELETE FROM lethe_acknowledgements WHERE subscriber = %s AND erasure_id = %s",
            [self.subscriber, erasure_id],
        )


def _letter(row: Row) -> DeadLetter:
    values = dict(zip(LETTER.split(", "), row, strict=True))
    return DeadLetter(**values | {"event": Received.from_text(values["event"])})


def _places(ids: Sequence[str]) -> str:
    return ", ".join(["%s"] * len(ids))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
