"""Dead letters in the database: which records wait, apart from which view, and events passed over."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from infra import arrays
from infra.logging import place_of_error
from services.ports import Recorded

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Parked:
    """The event that a view could not digest: where it is, and what went wrong, in words of the program."""

    view: str
    originator_id: UUID
    version: int
    position: int
    topic: str
    error: str
    place: str

    @classmethod
    def of(cls, view: str, recorded: Recorded, error: BaseException) -> "Parked":
        what, where = place_of_error(error)
        return cls(
            view,
            recorded.originator_id,
            recorded.originator_version,
            recorded.position,
            recorded.event.TOPIC,
            what,
            where,
        )


async def park(connection: Connection, letter: Parked) -> None:
    """From here on the record is held back from the view."""
    await connection.execute(
        "INSERT INTO views.dead_letters (view, originator_id, version, position, topic, error, place) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (originator_id, view) DO UPDATE SET "
        "version = excluded.version, position = excluded.position, topic = excluded.topic, "
        "error = excluded.error, place = excluded.place",
        [
            letter.view,
            letter.originator_id,
            letter.version,
            letter.position,
            letter.topic,
            letter.error,
            letter.place,
        ],
    )


async def release(connection: Connection, view: str, ids: Collection[UUID]) -> list[UUID]:
    """Hold these back no more. Those that were."""
    cursor = await connection.execute(
        "DELETE FROM views.dead_letters WHERE view = %s AND originator_id = ANY (%s) RETURNING originator_id",
        [view, list(ids)],
    )
    return [record[0] for record in await cursor.fetchall()]


async def parked(
    connection: Connection, views: Sequence[str], ids: Collection[UUID]
) -> set[tuple[str, UUID]]:
    """Which of the records are held back, from which of the views."""
    cursor = await connection.execute(
        "SELECT view, originator_id FROM views.dead_letters "
        "WHERE originator_id = ANY (%s) AND view = ANY (%s)",
        [arrays.uuids(ids), list(views)],
    )
    return {(view, id) for view, id in await cursor.fetchall()}


async def waiting(
    connection: Connection, view: str, record_id: UUID | None, *, after: UUID, limit: int
) -> list[UUID]:
    """Records that are held back from the view, in order of id; that one record, if it is."""
    cursor = await connection.execute(
        "SELECT originator_id FROM views.dead_letters WHERE view = %s AND originator_id > %s "
        "AND (%s::uuid IS NULL OR originator_id = %s) ORDER BY originator_id LIMIT %s",
        [view, after, record_id, record_id, limit],
    )
    return [record[0] for record in await cursor.fetchall()]


async def skip(
    connection: Connection, view: str, record_id: UUID, version: int, actor: str, reason: str
) -> bool:
    """The view goes on without this event, at which the record is parked. False where it is not.

    The record stays parked until it is drained.
    """
    cursor = await connection.execute(
        "INSERT INTO views.skipped AS it "
        "(view, originator_id, version, position, topic, error, place, actor, reason) "
        "SELECT view, originator_id, version, position, topic, error, place, %s, %s FROM views.dead_letters "
        "WHERE view = %s AND originator_id = %s AND version = %s FOR UPDATE "
        # Who said so first stays: they were interrupted before the record was drained.
        "ON CONFLICT (originator_id, view, version) DO UPDATE SET actor = it.actor",
        [actor, reason, view, record_id, version],
    )
    return cursor.rowcount == 1


async def skips(connection: Connection, view: str, ids: Collection[UUID]) -> set[tuple[UUID, int]]:
    """The events, by record and version, that the view goes on without."""
    cursor = await connection.execute(
        "SELECT originator_id, version FROM views.skipped WHERE view = %s AND originator_id = ANY (%s)",
        [view, list(ids)],
    )
    return {(id, version) for id, version in await cursor.fetchall()}


async def release_if_done(
    connection: Connection, view: str, id: UUID, done: int, topics: Collection[str]
) -> int | None:
    """Hold the record back no more if no event of these topics is left above version `done` (0: none yet).

    Else the version to go on from. None: it is not held back (any more).
    """
    cursor = await connection.execute(
        "SELECT version FROM views.dead_letters WHERE view = %s AND originator_id = %s FOR UPDATE", [view, id]
    )
    letter = await cursor.fetchone()
    if letter is None:
        return None
    if done == 0:
        return int(letter[0])
    cursor = await connection.execute(
        "SELECT min(originator_version) FROM log.events "
        "WHERE originator_id = %s AND originator_version > %s AND topic = ANY (%s)",
        [id, done, sorted(topics)],
    )
    left = await cursor.fetchone()
    if left is not None and left[0] is not None:
        return int(left[0])
    await release(connection, view, [id])
    return None


async def forget(connection: Connection, view: str) -> None:
    """The view begins anew."""
    await connection.execute("DELETE FROM views.dead_letters WHERE view = %s", [view])


async def succeed(connection: Connection, view: str, successor: str) -> None:
    """The successor takes the view's place and name: what is parked from now on is what it has parked."""
    await forget(connection, view)
    await connection.execute("UPDATE views.dead_letters SET view = %s WHERE view = %s", [view, successor])
