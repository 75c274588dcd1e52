"""All who wait for the end of the log cost one look at it."""

import asyncio
from collections.abc import Sequence

import pytest
from eventsourcing.persistence import Notification

from infra import tide
from infra.tide import Tide
from services.ports import Unavailable
from tests.streams import ListedLog, stored_events


class WatchedLog(ListedLog):
    """Counts what it is asked; and is away where told so."""

    def __init__(self, events: Sequence[Notification] = ()) -> None:
        super().__init__(events)
        self.reads = self.waits = 0
        self.away = False

    async def read(self, after: int, limit: int) -> Sequence[Notification]:
        self.reads += 1
        return await super().read(after, limit)

    async def wait(self, after: int, timeout: float) -> bool:
        self.waits += 1
        if self.away:
            raise Unavailable("away")
        return await super().wait(after, timeout)


EVENTS = stored_events(5_000, records=10)


async def waiting(it: Tide, after: int, count: int) -> list["asyncio.Task[bool]"]:
    tasks = [asyncio.create_task(it.wait(after, 30)) for _ in range(count)]
    async with asyncio.timeout(30):
        while it._waiting < count:  # noqa: ASYNC110 - each counts itself
            await asyncio.sleep(0)
    return tasks


async def test_a_thousand_that_wait_are_one_look_and_read_from_memory() -> None:
    log = WatchedLog(EVENTS[:10])
    it = Tide(log)
    assert not await it.wait(10, 0.01), "from here on it looks"
    for _ in range(3):
        tasks = await waiting(it, len(log.events), 1_000)
        before = len(log.events)
        log.append(EVENTS[before : before + 5])
        assert all(await asyncio.gather(*tasks))
        pages = await asyncio.gather(*(it.read(before, 100) for _ in range(1_000)))
        assert all(list(page) == EVENTS[before : before + 5] for page in pages)
    assert log.reads <= 6
    assert log.waits <= 8
    it.close()


async def test_what_is_read_from_memory_is_what_the_log_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tide, "KEPT_EVENTS_MAX", 50)
    monkeypatch.setattr(tide, "PAGE", 7)
    log = WatchedLog(EVENTS[:100])
    it = Tide(log)
    for end in range(103, 400, 3):
        tasks = await waiting(it, end - 3, 1)
        log.append(EVENTS[end - 3 : end])
        assert await tasks[0]
        for after in (0, end - 60, end - 51, end - 50, end - 49, end - 3, end - 1, end):
            for limit in (1, 3, 100):
                assert list(await it.read(after, limit)) == EVENTS[after : min(after + limit, end)]
    assert len(it._kept) <= 50
    it.close()


async def test_memory_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tide, "KEPT_BYTES_MAX", 10_000)
    log = WatchedLog()
    it = Tide(log)
    [task] = await waiting(it, 0, 1)
    log.append(EVENTS)
    assert await task
    for after in (499, 999):
        await it.wait(after, 30)
    assert sum(len(one.state) for one in it._kept) <= 10_000
    assert list(await it.read(0, 500)) == EVENTS[:500]
    it.close()


async def test_whoever_comes_back_after_a_long_while_does_not_read_all_of_it() -> None:
    log = WatchedLog(EVENTS[:10])
    it = Tide(log)
    assert not await it.wait(10, 0.01)
    log.append(EVENTS[10:])
    await asyncio.sleep(0)
    it._looking = None  # as after a second in which nobody waited
    before = log.reads
    assert await it.wait(len(EVENTS) - 1, 30)
    assert not await it.wait(len(EVENTS), 0.01)
    assert log.reads - before <= 2
    it.close()


async def test_the_time_is_up_where_nothing_comes() -> None:
    it = Tide(WatchedLog(EVENTS[:10]))
    assert not await it.wait(10, 0.02)
    assert not await it.wait(10**12, 0.02), "a position that there is not"
    assert await it.wait(9, 5)
    it.close()


async def test_everybody_is_let_go_when_it_closes() -> None:
    it = Tide(WatchedLog())
    tasks = await waiting(it, 0, 10)
    it.close()
    assert await asyncio.gather(*tasks) == [False] * 10
    assert not await it.wait(0, 30)


async def test_a_database_that_is_away_is_told_to_all_who_wait_and_looked_for_again() -> None:
    log = WatchedLog(EVENTS[:10])
    it = Tide(log)
    log.away = True
    found = await asyncio.gather(*(it.wait(10, 30) for _ in range(10)), return_exceptions=True)
    assert [type(one) for one in found] == [Unavailable] * 10
    log.away = False
    [task] = await waiting(it, 10, 1)
    log.append(EVENTS[10:11])
    assert await task
    it.close()
