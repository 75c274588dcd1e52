"""Personal values of the log, in their boxes, by position."""

from collections.abc import Mapping, Sequence

from domain.model import Sealed
from infra.eventstore.mapper import EventMapper
from infra.eventstore.reader import FencedReader
from services.unsealing import PositionNotReached


class PostgresSealedValues:
    """Implements `services.unsealing.SealedValues`."""

    def __init__(self, reader: FencedReader, mapper: EventMapper) -> None:
        self._reader = reader
        self._mapper = mapper

    async def at(self, positions: Sequence[int]) -> Mapping[int, Mapping[str, Sealed]]:
        # What is committed is final, whatever the fence says: only where an event is missing it is asked.
        found = await self._read(positions)
        missing = [it for it in positions if it not in found]
        if missing:
            if max(missing) > await self._reader.horizon():
                raise PositionNotReached(str(max(missing)))
            found |= await self._read(missing)  # it may have been committed just before the fence was asked
        return found

    async def _read(self, positions: Sequence[int]) -> dict[int, Mapping[str, Sealed]]:
        return {it.id: self._mapper.handles(it) for it in await self._reader.at_positions(positions)}
