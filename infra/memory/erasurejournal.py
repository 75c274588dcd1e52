"""The log's requests for erasure, in memory: the twin of the one in PostgreSQL."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from domain.erasure.events import ErasureRequested, ErasureSealed, SubjectErased
from infra.memory.eventstore import MemoryEventStore
from services.ports import Recorded


class ReadingMapper(Protocol):
    """What reads the stored form, such as `infra.eventstore.mapper.EventMapper`."""

    def to_domain_event(self, stored_event: StoredEvent) -> Recorded: ...


class MemoryErasureJournal:
    """Implements `services.erasures.ErasureJournal`."""

    def __init__(self, log: MemoryEventStore, mapper: ReadingMapper) -> None:
        self._log = log
        self._mapper = mapper

    async def request(self, erasure_id: UUID) -> Recorded | None:
        requests = await self._requests()
        return next((it for it in requests if it.originator_id == erasure_id), None)

    async def unfinished(self) -> Sequence[Recorded]:
        done = {it.originator_id for it in await self._events() if isinstance(it.event, SubjectErased)}
        return [it for it in await self._requests() if it.originator_id not in done]

    async def unsealed(self) -> Sequence[Recorded]:
        events = await self._events()
        sealed = {it.originator_id for it in events if isinstance(it.event, ErasureSealed)}
        return [it for it in events if isinstance(it.event, SubjectErased) and it.originator_id not in sealed]

    async def _requests(self) -> list[Recorded]:
        return [it for it in await self._events() if isinstance(it.event, ErasureRequested)]

    async def _events(self) -> list[Recorded]:
        stored = await self._log.read(0, await self._log.horizon())
        return [self._mapper.to_domain_event(it) for it in stored]
