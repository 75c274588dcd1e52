"""The library's synchronous recorder interface over the same log, for its tools and its contract tests.

Unlike the library's own recorder it takes no table lock and sends no NOTIFY: readers stay behind the
allocation fence (see `infra.eventstore.reader`).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    OperationalError,
    StoredEvent,
    Subscription,
)
from psycopg_pool import ConnectionPool

from infra.eventstore.reader import ALLOCATION, COLUMNS, PASSED

FENCE_SECONDS_MAX = 60.0  # longer than PostgreSQL lets a transaction sit idle
POLL_SECONDS = 0.01
PAGE_MAX = 500

INSERT = """
INSERT INTO log.events (originator_id, originator_version, topic, state)
SELECT * FROM unnest(%b::uuid[], %b::bigint[], %b::text[], %b::bytea[])
RETURNING position
"""


class PostgresRecorder(ApplicationRecorder):
    """Implements the library's `ApplicationRecorder`. It stores no answers to commands: `Appender` does."""

    def __init__(self, pool: "ConnectionPool[psycopg.Connection[Any]]") -> None:
        self._pool = pool

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        columns = [
            [it.originator_id for it in stored_events],
            [it.originator_version for it in stored_events],
            [it.topic for it in stored_events],
            [it.state for it in stored_events],
        ]
        return [position for (position,) in self._rows(INSERT, columns)] if stored_events else None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        rows = self._rows(
            f"SELECT {COLUMNS} FROM log.events WHERE originator_id = %s"  # noqa: S608 - constants
            " AND originator_version > coalesce(%s::bigint, -1)"
            " AND originator_version <= coalesce(%s::bigint, originator_version)"
            f" ORDER BY originator_version {'DESC' if desc else 'ASC'} LIMIT %s",
            [originator_id, gt, lte, limit],
        )
        return [StoredEvent(*stored) for *stored, _ in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Waits for the fence first. Raises `OperationalError` if it stands for more than a minute."""
        horizon = self._horizon()
        first = 0 if start is None else start if inclusive_of_start else start + 1
        rows = self._rows(
            f"SELECT {COLUMNS} FROM log.events WHERE position >= %s AND position <= %s"  # noqa: S608
            " AND (cardinality(%s::text[]) = 0 OR topic = ANY(%s)) ORDER BY position LIMIT %s",
            [first, horizon if stop is None else min(stop, horizon), list(topics), list(topics), limit],
        )
        return [Notification(*row) for row in rows]

    def max_notification_id(self) -> int | None:
        [(position,)] = self._rows("SELECT max(position) FROM log.events", [])
        return None if position is None else int(position)

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> "Subscription[ApplicationRecorder]":
        return PollingSubscription(self, gt, topics)

    def _horizon(self) -> int:
        [(highest, fence)] = self._rows(ALLOCATION, [])
        until = time.monotonic() + FENCE_SECONDS_MAX
        while self._rows(PASSED, [fence]) != [(True,)]:
            if time.monotonic() > until:
                raise OperationalError(f"a transaction has been open for {FENCE_SECONDS_MAX:.0f} s")
            time.sleep(POLL_SECONDS)
        return int(highest)

    def _rows(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with _in_the_librarys_words(), self._pool.connection() as connection:
            return connection.cursor(binary=True).execute(query.encode(), values).fetchall()


class PollingSubscription(Subscription[ApplicationRecorder]):
    """Goes on for ever with what is newly recorded, until it is stopped."""

    def __init__(self, recorder: ApplicationRecorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder, gt, topics)
        self._page: Iterator[Notification] = iter(())

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            for notification in self._page:
                self._last_notification_id = notification.id
                return notification
            page = self._recorder.select_notifications(
                self._last_notification_id, PAGE_MAX, topics=self._topics, inclusive_of_start=False
            )
            if not page:
                time.sleep(POLL_SECONDS)
            self._page = iter(page)
        raise StopIteration


@contextmanager
def _in_the_librarys_words() -> Iterator[None]:
    try:
        yield
    except psycopg.IntegrityError as error:
        raise IntegrityError(str(error.diag.constraint_name)) from error
    except psycopg.OperationalError as error:
        raise OperationalError("the database cannot be reached just now") from error
