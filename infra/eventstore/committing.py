"""One group of commits as one transaction: keys, boxes, events, and the answers to their commands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from psycopg import AsyncConnection
from psycopg.types.numeric import Int8
from psycopg_pool import AsyncConnectionPool

from domain.model import Erased
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

    async def store(self, commits: Sequence[Commit]) -> dict[UUID, Answer]:
        """An answer for each commit, by its command id, once everything is durable.

        Two round trips: keys, then everything else. Raises `UniqueViolation` where another transaction has
        stored one of the versions or commands; and what psycopg and the key ring raise. Then nothing is
        stored and no key is minted, unless the connection was lost.
        """
        answers: dict[UUID, Answer] = {}
        async with (
            self._pool.connection(timeout=CONNECT_SECONDS_MAX) as connection,
            connection.pipeline() as pipeline,
        ):
            await connection.execute("BEGIN")
            sealed = await self._sealed(commits, connection, answers)
            cursor = connection.cursor(binary=True)
            await cursor.execute(INSERT, _columns(sealed))
            await connection.execute("COMMIT")
            await pipeline.sync()
            positions = dict(await cursor.fetchall())
        return answers | {it.id: it.outcome(positions[it.id]) for it in sealed}

    async def _sealed(
        self, commits: Sequence[Commit], connection: AsyncConnection[Any], answers: dict[UUID, Answer]
    ) -> list["_Sealed"]:
        """What is to be stored; those that had to seal something for an erased subject go to `answers`."""
        now = self._clock.now()
        recorded = [(commit, self._mapper.envelop(commit, now)) for commit in commits]
        names = {name for _, events in recorded for it in events for name in self._mapper.needs(it)}
        keys: Keys = await self._ring.provide(names, within=connection) if names else {}
        sealed = []
        for commit, events in recorded:
            try:
                stored = [self._mapper.to_stored_event(it, keys) for it in events]
            except SubjectIsErased as refusal:
                answers[commit.context.command_id] = refusal
            else:
                sealed.append(_Sealed(commit, stored))
        return sealed

    async def decided(self, commits: Sequence[Commit]) -> dict[UUID, Answer]:
        """The answers to those of the commits that can be stored no more: known ones, and lost races."""
        wanted = [(event, commit) for commit in commits for event in commit.events]
        if not commits:
            return {}
        async with self._pool.connection(timeout=CONNECT_SECONDS_MAX) as connection:
            # In this order: what a known command has stored is never taken for a lost race.
            ids, versions = _numbered(event for event, _ in wanted)
            cursor = connection.cursor(binary=True)
            taken = set(await (await cursor.execute(TAKEN, [ids, versions])).fetchall())
            known = await known_answers(connection, [commit.context for commit in commits])
        lost: dict[UUID, Answer] = {
            commit.context.command_id: VersionConflict(commit.id)
            for event, commit in wanted
            if (event.originator_id, event.originator_version) in taken
        }
        return lost | known


async def known_answers(
    connection: AsyncConnection[Any], contexts: Sequence[CommandContext]
) -> dict[UUID, Answer]:
    """The first answers to those of the commands that were stored before; `CommandReused` where it is not the
    same request.
    """
    digests = {context.command_id: context.request_digest for context in contexts}
    cursor = connection.cursor(binary=True)
    await cursor.execute(KNOWN, [list(digests)])
    return {
        command_id: Outcome(originator_id, subject_id, version, position, repeated=True)
        if digest == digests[command_id]
        else CommandReused(command_id)
        for command_id, digest, originator_id, version, position, subject_id in await cursor.fetchall()
    }


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


def _columns(sealed: Sequence[_Sealed]) -> list[list[Any]]:
    events = [event for it in sealed for event in it.events]
    return [
        *_numbered(events),
        [event.topic for event in events],
        [event.state for event in events],
        [it.id for it in sealed],
        [it.commit.context.request_digest for it in sealed],
        [it.commit.id for it in sealed],
        [Int8(it.version) for it in sealed],
        [Int8(it.commit.position) for it in sealed],
        [it.commit.subject_id for it in sealed],
    ]


def _numbered(events: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    pairs = [(event.originator_id, Int8(event.originator_version)) for event in events]
    return [id for id, _ in pairs], [version for _, version in pairs]
