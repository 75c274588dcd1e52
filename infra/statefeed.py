"""The change-data feed of the views: whoever wants states, not events, follows a compacted topic a view.

A state has the row's public facts. Where a personal value would be it says where that lies in the log
(`position`, `field`), for `POST /v1/unseal`: there is no box in it, and nothing to open. An erased person's
records become tombstones, and stay so.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final, Protocol
from uuid import UUID

import structlog
from eventsourcing.persistence import Notification
from kafka.errors import KafkaError

from domain.erasure.events import SubjectErased
from domain.model import Sealed
from domain.restriction.events import RestrictionImposed, RestrictionLifted
from infra import json
from infra.eventstore.mapper import EventMapper
from infra.kafka.states import State, StateOutlet
from infra.postgres.staterows import Place, PostgresStateRows
from infra.postgres.views.tables import Table
from infra.stateforms import SCHEMAS, STATES
from infra.waiting import set_within_about
from projections.model import Row
from projections.timeline import kind_of
from services.ports import (
    NOTHING_STANDS,
    KeyRing,
    LogReader,
    Recorded,
    Standing,
    SubjectMarks,
    Unavailable,
)

CHUNK_EVENTS_MAX: Final = 500
WAIT_SECONDS: Final = 0.5
STANDBY_SECONDS: Final = 2.0
SHOW_SECONDS_MAX: Final = 30.0
SHOW_PAUSE_SECONDS: Final = 0.02
BACKOFF_SECONDS_MAX: Final = 10.0

log = structlog.get_logger(__name__)


class Standings(KeyRing, SubjectMarks, Protocol):
    """Says what stands about people, and is told."""


class Turn(Protocol):
    """The right to publish states: one process has it at a time."""

    async def acquire(self) -> bool:
        """Take it if nobody has it. Raises `Unavailable`."""
        ...

    async def release(self) -> None:
        """Let another. May be repeated."""
        ...


class StateFeed:
    """Publishes the states of some views: all of them once, then each that changes. Of several, one works."""

    def __init__(
        self,
        turn: Turn,
        reader: LogReader,
        mapper: EventMapper,
        rows: PostgresStateRows,
        ring: Standings,
        bootstrap_servers: str,
        namespace: str,
        views: Sequence[str],
    ) -> None:
        """`views` are names of `STATES`."""
        self._turn = turn
        self._reader = reader
        self._mapper = mapper
        self._rows = rows
        self._ring = ring
        self._bootstrap_servers = bootstrap_servers
        self._namespace = namespace
        self._tables = [STATES[it] for it in views]

    async def run(self, stop: asyncio.Event) -> None:
        """Publish, or stand by, until `stop` is set. A broker or database that is away is waited for."""
        pause = WAIT_SECONDS
        try:
            while not stop.is_set():
                try:
                    if await self._turn.acquire():
                        await self._lead(stop)
                    pause = STANDBY_SECONDS
                except (KafkaError, Unavailable, OSError) as error:
                    log.warning("state_feed_waits", error=type(error).__qualname__)
                    await self._turn.release()
                    pause = min(pause * 2, BACKOFF_SECONDS_MAX)
                await set_within_about(stop, pause)
        finally:
            await self._turn.release()

    async def _lead(self, stop: asyncio.Event) -> None:
        names = [it.name for it in self._tables]
        outlet = await asyncio.to_thread(StateOutlet, self._bootstrap_servers, self._namespace, names)
        try:
            position = await self._rows.checkpoint(outlet.place)
            if position is None:
                position = await self._publish_all(outlet, stop)
            while not stop.is_set():
                page = await self._reader.read(position, CHUNK_EVENTS_MAX)
                if not page:
                    await self._turn.acquire()  # raises once the turn is lost
                    await self._reader.wait(position, WAIT_SECONDS)
                    continue
                await self._until_shown([it.id for it in page])
                await self._publish(outlet, await self._changed(page))
                position = page[-1].id
                await self._rows.advance(outlet.place, position)
        finally:
            outlet.halt()
            await asyncio.to_thread(outlet.close)

    async def _publish_all(self, outlet: StateOutlet, stop: asyncio.Event) -> int:
        """Every row once; from which position on changes are to be followed. Broken off, it starts over."""
        # What the views do not show yet is followed: it may come into rows that have been passed already.
        position = await self._rows.shown_up_to(await self._reader.horizon())
        for table in self._tables:
            after = None
            while page := await self._rows.page(table, after, CHUNK_EVENTS_MAX):
                if stop.is_set():
                    raise Unavailable("told to stop")
                await self._publish(outlet, {table.name: page})
                after = page[-1].id
        await self._rows.advance(outlet.place, position)
        log.info("states_published", views=len(self._tables), position=position)
        return position

    async def _until_shown(self, positions: Sequence[int]) -> None:
        deadline = asyncio.get_running_loop().time() + SHOW_SECONDS_MAX
        while not await self._rows.shown(positions):
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable("the views do not show these events yet")
            await asyncio.sleep(SHOW_PAUSE_SECONDS)

    async def _changed(self, page: Sequence[Notification]) -> dict[str, list[Row]]:
        """The rows of the events' records, and of the people whose standing the events change."""
        ids: dict[str, set[UUID]] = {}
        for it in page:
            ids.setdefault(kind_of(it.topic), set()).add(UUID(str(it.originator_id)))
        people = {
            await self._stands(self._mapper.to_domain_event(it)) for it in page if it.topic in STANDINGS
        }
        changed: dict[str, list[Row]] = {}
        for table in self._tables:
            rows = {it.id: it for it in await self._rows.rows(table, ids.get(table.aggregate, ()))}
            if people:
                rows |= {it.id: it for it in await self._rows.of_subjects(table, people)}
            changed[table.name] = list(rows.values())
        return changed

    async def _stands(self, recorded: Recorded) -> UUID:
        """Whose standing the event changes. Made sure of: the mark of a restriction comes after its event."""
        match recorded.event:
            case RestrictionImposed(subject_id=person):
                await self._ring.restrict(person, True, position=recorded.position)
            case RestrictionLifted(subject_id=person):
                await self._ring.restrict(person, False, position=recorded.position)
            case SubjectErased(erased_subject_id=person):
                pass
            case other:
                raise TypeError(f"{other.TOPIC} changes nobody's standing")
        return person

    async def _publish(self, outlet: StateOutlet, rows: Mapping[str, Sequence[Row]]) -> None:
        whole = [it for of_view in rows.values() for it in of_view]
        if not whole:
            return
        places = await self._rows.positions({handle for row in whole for handle in _handles(row)})
        standings = await self._ring.standings({it.subject_id for it in whole})
        states = [
            state_of(STATES[view], row, places, standings.get(row.subject_id, NOTHING_STANDS))
            for view, of_view in rows.items()
            for row in of_view
        ]
        await asyncio.to_thread(outlet.publish, states)


STANDINGS: Final = frozenset({SubjectErased.TOPIC, RestrictionImposed.TOPIC, RestrictionLifted.TOPIC})
"""Events that change what may be seen of a person, whose records do not change by them."""


def state_of(table: Table[Any], row: Row, places: Mapping[Place, int], standing: Standing) -> State:
    """The row as a state, a tombstone where its person is erased."""
    about = (table.name, row.id, row.version, row.position, SCHEMAS[table.name]["$id"])
    if standing.erased:
        return State(*about, None)
    facts = {it.name: _plain(getattr(row, it.name), places) for it in fields(row)}
    facts["restricted"] = standing.restricted
    facts["erased_categories"] = sorted(standing.erased_categories)
    return State(*about, json.encode(facts))


def _plain(value: Any, places: Mapping[Place, int]) -> Any:
    """Facts as they are; of a personal value its category, and where in the log it lies."""
    if isinstance(value, Sealed):
        position = places[value.originator_id, value.originator_version]
        return {"category": value.category, "position": position, "field": value.field}
    if isinstance(value, list):
        return [_plain(it, places) for it in value]
    if is_dataclass(value) and any(_handles(value)):
        return {it.name: _plain(getattr(value, it.name), places) for it in fields(value)}
    return value


def _handles(value: Any) -> Iterator[Sealed]:
    if isinstance(value, Sealed):
        yield value
    elif isinstance(value, list):
        for it in value:
            yield from _handles(it)
    elif is_dataclass(value):
        for it in fields(value):
            yield from _handles(getattr(value, it.name))
