"""One group of commits as one transaction: keys, boxes, events, and the answers to their commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from domain.model import Erased
from infra import arrays
from infra.eventstore.mapper import EventMapper
from services.ports import (
    Clock,
    CommandContext,
    CommandReused,
    Commit,
    DataKey,
    KeyName,
    KeyRing,
    Outcome,
    ProcessingRestricted,
    Refused,
    SubjectIsErased,
    VersionConflict,
)

Pool = AsyncConnectionPool[AsyncConnection[Any]]
Keys: TypeAlias = Mapping[KeyName, DataKey | Erased]
Answer: TypeAlias = Outcome | Refused

CONNECT_SECONDS_MAX = 2.0

# The columns of `events` draw their transaction id and position themselves, in this order, row by row.
INSERT = """
WITH stored AS (
    INSERT INTO log.events (originator_id, originator_version, topic, state)
    SELECT * FROM unnest(%b::uuid[], %b::bigint[], %b::text[], %b::bytea[])
    RETURNING originator_id, originator_version, position
)
INSERT INTO log.commands (command_id, request_digest, originator_id, version, position, subject_id)
SELECT done.command_id, done.request_digest, done.originator_id, done.version,
       coalesce(stored.position, done.position), done.subject_id
FROM unnest(%b::uuid[], %b::bytea[], %b::uuid[], %b::bigint[], %b::bigint[], %b::uuid[])
    AS done (command_id, request_digest, originator_id, version, position, subject_id)
LEFT JOIN stored
    ON stored.originator_id = done.originator_id AND stored.originator_version = done.version
RETURNING command_id, position
"""

KNOWN = """
SELECT command_id, request_digest, originator_id, version, position, subject_id
FROM log.commands WHERE command_id = ANY(%b)
"""

TAKEN = """
SELECT originator_id, originator_version FROM log.events
JOIN unnest(%b::uuid[], %b::bigint[]) AS wanted (id, version)
    ON originator_id = wanted.id AND originator_version = wanted.version
"""


class GroupTransaction:
    """Stores groups of commits that do not contradict each other."""

    def __init__(self, pool: Pool, mapper: EventMapper, ring: KeyRing, clock: Clock) -> None:
        self._pool = pool
        self._mapper = mapper
        self._ring = ring
        self._clock = clock

    async def store(self, commits: Sequence[Commit]) -> list[Answer]:
        """An answer for each commit, once everything is durable.

        Two round trips: keys, then everything else. Raises `UniqueViolation` where another transaction has
        stored one of the versions or commands; and what psycopg and the key ring raise. Then nothing is
        stored and no key is minted, unless the connection was lost.
        """
        async with (
            self._pool.connection(timeout=CONNECT_SECONDS_MAX) as connection,
            connection.pipeline() as pipeline,
        ):
            await connection.execute("BEGIN")
            sealed, refused = await self._sealed(commits, connection)
            # A command that was stored before its subject was erased keeps its answer.
            answers = await _first_or(refused, connection) if refused else {}
            cursor = connection.cursor(binary=True)
            await cursor.execute(INSERT, _columns(sealed))
            await connection.execute("COMMIT")
            await pipeline.sync()
            positions = dict(await cursor.fetchall())
        answers |= {it.id: it.outcome(positions[it.id]) for it in sealed}
        return [answers[commit.context.command_id] for commit in commits]

    async def _sealed(
        self, commits: Sequence[Commit], connection: AsyncConnection[Any]
    ) -> tuple[list["_Sealed"], list[tuple[Commit, Refused]]]:
        """What is to be stored, and what is not: it had to seal something for somebody who is erased, or
        whose processing is restricted while the command names no ground."""
        now = self._clock.now()
        stored = self._mapper.to_stored_event
        recorded = [
            (commit, [(it, self._mapper.needs(it)) for it in self._mapper.envelop(commit, now)])
            for commit in commits
        ]
        names = {name for _, events in recorded for _, boxes in events for name in boxes}
        keys: Keys = await self._ring.provide(names, within=connection) if names else {}
        sealed: list[_Sealed] = []
        refused: list[tuple[Commit, Refused]] = []
        for commit, events in recorded:
            try:
                sealed.append(_Sealed(commit, [stored(it, keys, boxes) for it, boxes in events]))
            except (SubjectIsErased, ProcessingRestricted) as refusal:
                refused.append((commit, refusal))
        return sealed, refused

    async def decided(self, commits: Sequence[Commit]) -> list[Answer | None]:
        """For each of the commits that can be stored no more its answer: the first one, or a lost race."""
        events = [event for commit in commits for event in commit.events]
        async with self._pool.connection(timeout=CONNECT_SECONDS_MAX) as connection:
            # In this order: what a known command has stored is never taken for a lost race.
            cursor = connection.cursor(binary=True)
            taken = set(await (await cursor.execute(TAKEN, _numbered(events))).fetchall())
            known = await first_answers(connection, [commit.context for commit in commits])
        return [
            first
            or (
                VersionConflict(commit.id)
                if any((event.originator_id, event.originator_version) in taken for event in commit.events)
                else None
            )
            for commit, first in zip(commits, known, strict=True)
        ]


async def _first_or(
    refused: Sequence[tuple[Commit, Refused]], connection: AsyncConnection[Any]
) -> dict[UUID, Answer]:
    first = await first_answers(connection, [commit.context for commit, _ in refused])
    return {
        commit.context.command_id: answer or refusal
        for (commit, refusal), answer in zip(refused, first, strict=True)
    }


async def first_answers(
    connection: AsyncConnection[Any], contexts: Sequence[CommandContext]
) -> list[Answer | None]:
    """For each command that was stored before its first answer; `CommandReused` if it was another request."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(KNOWN, [arrays.uuids({context.command_id for context in contexts})])
    known = {command_id: kept for command_id, *kept in await cursor.fetchall()}
    return [
        _first_answer(context, *known[context.command_id]) if context.command_id in known else None
        for context in contexts
    ]


def _first_answer(
    context: CommandContext, digest: bytes, id: UUID, version: int, position: int, subject_id: UUID
) -> Answer:
    if digest != context.request_digest:
        return CommandReused(context.command_id)
    return Outcome(id, subject_id, version, position, repeated=True)


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A commit, ready to be stored."""

    commit: Commit
    events: Sequence[StoredEvent]

    @property
    def id(self) -> UUID:
        return self.commit.context.command_id

    @property
    def version(self) -> int:
        return self.events[-1].originator_version if self.events else self.commit.version

    def outcome(self, position: int) -> Outcome:
        return Outcome(self.commit.id, self.commit.subject_id, self.version, position)


def _columns(sealed: Sequence[_Sealed]) -> list[arrays.Array]:
    events = [event for it in sealed for event in it.events]
    return [
        *_numbered(events),
        arrays.texts([event.topic for event in events]),
        arrays.byteas([event.state for event in events]),
        arrays.uuids([it.id for it in sealed]),
        arrays.byteas([it.commit.context.request_digest for it in sealed]),
        arrays.uuids([it.commit.id for it in sealed]),
        arrays.int8s([it.version for it in sealed]),
        arrays.int8s([it.commit.position for it in sealed]),
        arrays.uuids([it.commit.subject_id for it in sealed]),
    ]


def _numbered(events: Sequence[Any]) -> list[arrays.Array]:
    return [
        arrays.uuids([event.originator_id for event in events]),
        arrays.int8s([event.originator_version for event in events]),
    ]
