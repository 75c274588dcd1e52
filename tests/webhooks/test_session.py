"""One endpoint's delivery: everything, in order by record, whatever the receiver does."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks.webhooks import Webhook

from domain.webhook.events import ParkCause
from infra.webhooks import session, signing
from infra.webhooks.lease import Waiting
from infra.webhooks.schedule import DELAYS, PATIENCE
from tests.webhooks.receiver import Receiver, receiving
from tests.webhooks.world import RECORDS, SECRET, World, world


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock is moved by hand: whoever waits for it looks again soon.
    monkeypatch.setattr(session, "LOOK_SECONDS", 0.02)


async def settled(it: World, cursor: int, blocked: int = 0) -> list[Waiting]:
    """Wait until so much is remembered."""
    async with asyncio.timeout(60):
        while True:
            found, waiting = await it.progress()
            if found == cursor and len(waiting) == blocked:
                return waiting
            await asyncio.sleep(0.02)


async def test_everything_arrives_in_order_and_verifies(database_url: str) -> None:
    async with receiving() as receiver, world(database_url, receiver) as it:
        it.append(*(number % 7 for number in range(300)))
        async with it.sending():
            await receiver.until(lambda: len(receiver.accepted) == 300)
            it.append(1, 2, 3)
            await receiver.until(lambda: len(receiver.accepted) == 303)
            await settled(it, 303)
    assert sorted(receiver.positions) == list(range(1, 304))
    assert all(found == list(range(1, len(found) + 1)) for found in receiver.by_record().values())
    assert receiver.connections <= session.IN_FLIGHT_MAX
    first = receiver.arrived[0]
    verifier = Webhook(signing.text_of(SECRET))
    # The clock stands still in March: only the times are not of now.
    assert (
        verifier.sign(first.headers["webhook-id"], it.clock.now(), first.body.decode())
        == (first.headers["webhook-signature"])
    )
    assert first.headers["webhook-id"] == first.event["id"]


async def test_only_the_types_asked_for_are_sent_and_the_cursor_passes_the_others(database_url: str) -> None:
    async with receiving() as receiver, world(database_url, receiver, types=("lead.won", "customer")) as it:
        it.append(1, 2)
        it.append(1, topic="lead.won")
        it.append(3, topic="customer.tagged")
        it.append(4, topic="ticket.closed")
        async with it.sending():
            await settled(it, 5)
    assert receiver.positions == [3, 4]


async def test_what_fails_blocks_its_own_record_only_and_follows_in_order(database_url: str) -> None:
    bad = str(RECORDS[3])
    broken = True

    def behave(event: dict[str, Any]) -> int:
        return 500 if broken and event["subject"] == bad else 204

    async with receiving(behave) as receiver, world(database_url, receiver) as it:
        it.append(*(number % 6 for number in range(120)))
        async with it.sending():
            [waiting] = await settled(it, 120, blocked=1)
            assert len(receiver.positions) == 100
            assert (waiting.originator_id, waiting.version, waiting.attempts) == (RECORDS[3], 1, 1)
            it.append(3, 3)
            [waiting] = await settled(it, 122, blocked=1)
            it.clock.advance(seconds=DELAYS[0].total_seconds() * 2)
            while waiting.attempts < 2:
                [waiting] = await settled(it, 122, blocked=1)
            broken = False
            it.clock.advance(seconds=DELAYS[1].total_seconds() * 2)
            await settled(it, 122)
    versions = [one["aggregateversion"] for one in receiver.accepted if one["subject"] == bad]
    assert versions == list(range(1, 23))
    assert len(receiver.arrived) == 124, "the head alone was sent again"


async def test_a_retry_has_the_same_id_and_a_time_of_its_own(database_url: str) -> None:
    answers = iter([500, 204])
    async with receiving(lambda event: next(answers)) as receiver, world(database_url, receiver) as it:
        it.append(1)
        async with it.sending():
            await settled(it, 1, blocked=1)
            it.clock.advance(seconds=10)
            await settled(it, 1)
    first, second = receiver.arrived
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 10


async def test_a_receiver_that_was_down_gets_everything_once_it_is_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down for hours by the clock: what is blocked is bounded, and the first success calls all of it up."""
    monkeypatch.setattr(session, "BLOCKED_MAX", 20)
    async with receiving() as nobody:
        port = nobody.port
    there = Receiver()
    there.port = port
    async with world(database_url, there) as it:
        it.append(*range(30), *range(30))
        async with it.sending():
            waiting = await settled_at(it, blocked=20)
            assert all(one.of_endpoint for one in waiting)
            while min(one.attempts for one in waiting) < 4:
                it.clock.advance(minutes=10)
                await asyncio.sleep(0.05)
                waiting = (await it.progress())[1]
            async with receiving(port=port) as receiver:
                while not receiver.accepted:
                    it.clock.advance(minutes=1)
                    await asyncio.sleep(0.05)
                # Hardly one of the others is due by its own time, and no time passes but these seconds.
                it.clock.advance(seconds=6)
                await settled(it, 60)
    assert all(found == [1, 2] for found in receiver.by_record().values())
    assert len(receiver.arrived) == 60


async def settled_at(it: World, blocked: int) -> list[Waiting]:
    async with asyncio.timeout(60):
        while len(waiting := (await it.progress())[1]) < blocked:  # noqa: ASYNC110 - it is in a table
            await asyncio.sleep(0.02)
    return waiting


async def it_is_all_there(it: World, receiver: Receiver, count: int) -> None:
    async with asyncio.timeout(60):
        while len(receiver.positions) < count:
            it.clock.advance(hours=4)
            await asyncio.sleep(0.05)
    await settled(it, count)


async def test_too_many_blocked_records_make_the_endpoint_wait(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "BLOCKED_MAX", 3)
    async with receiving(lambda event: 500) as receiver, world(database_url, receiver) as it:
        it.append(*range(20))
        async with it.sending():
            await settled(it, 3, blocked=3)
            await asyncio.sleep(0.1)
            assert len(receiver.arrived) == 3
        receiver.behave = lambda event: 204
        async with it.sending():
            it.clock.advance(seconds=10)
            await settled(it, 20)
    assert sorted(receiver.positions) == list(range(1, 21))


async def test_a_record_that_hangs_leaves_room_for_the_others(database_url: str) -> None:
    stuck = {str(it) for it in RECORDS[:3]}

    def behave(event: dict[str, Any]) -> int | None:
        return None if event["subject"] in stuck else 204

    async with receiving(behave) as receiver, world(database_url, receiver) as it:
        it.append(*(number % 10 for number in range(100)))
        async with it.sending() as task:
            await receiver.until(lambda: len(receiver.positions) == 70)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_retry_after_is_heeded_by_the_whole_endpoint(database_url: str) -> None:
    busy = True

    def behave(event: dict[str, Any]) -> Any:
        return (503, {"retry-after": "600"}) if busy else 204

    async with receiving(behave) as receiver, world(database_url, receiver) as it:
        it.append(1)
        async with it.sending():
            await settled(it, 1, blocked=1)
            it.append(2)
            it.clock.advance(seconds=500)
            await asyncio.sleep(0.2)
            assert len(receiver.arrived) == 1
            busy = False
            it.clock.advance(seconds=101)
            await settled(it, 2)
    assert sorted(receiver.positions) == [1, 2]


async def test_gone_parks_at_once(database_url: str) -> None:
    async with receiving(lambda event: 410) as receiver, world(database_url, receiver) as it:
        it.append(1)
        async with it.sending() as task:
            await asyncio.wait_for(asyncio.shield(task), 60)
        assert it.parked == [ParkCause.GONE]
        cursor, [waiting] = await it.progress()
        assert (cursor, waiting.version) == (1, 1), "it is kept, for when somebody resumes"


async def test_days_of_failure_park_and_resuming_goes_on_where_it_stopped(database_url: str) -> None:
    async with receiving(lambda event: 500) as receiver, world(database_url, receiver) as it:
        it.append(1, 1)
        async with it.sending() as task:
            async with asyncio.timeout(60):
                while not task.done():
                    it.clock.advance(hours=3)
                    await asyncio.sleep(0.05)
        assert it.parked == [ParkCause.GAVE_UP]
        tried = len(receiver.arrived)
        first, last = (int(receiver.arrived[at].headers["webhook-timestamp"]) for at in (0, -1))
        assert last - first >= PATIENCE.total_seconds()
        assert tried >= len(DELAYS)
        receiver.behave = lambda event: 204
        resumed = replace(it.endpoint, revived=2)
        async with it.sending(resumed):
            await receiver.until(lambda: len(receiver.positions) == 2)
    assert receiver.positions == [1, 2]


async def test_a_replay_sends_again_from_there(database_url: str) -> None:
    async with receiving() as receiver, world(database_url, receiver) as it:
        it.append(1, 2, 3)
        async with it.sending():
            await settled(it, 3)
        async with it.sending(replace(it.endpoint, replays=((2, 2), (3, 1), (4, 2)))):
            await receiver.until(lambda: len(receiver.accepted) == 5)
    assert [one["position"] for one in receiver.accepted[3:]] in ([2, 3], [3, 2])


async def test_a_replay_from_beyond_what_has_arrived_leaves_out_nothing(database_url: str) -> None:
    async with receiving(lambda event: None) as receiver, world(database_url, receiver) as it:
        it.append(*range(20))
        async with it.sending():
            await receiver.until(lambda: len(receiver.arrived) > 0)
        receiver.behave = lambda event: 204
        async with it.sending(replace(it.endpoint, replays=((21, 15),), revived=21)):
            await it_is_all_there(it, receiver, 20)


async def test_who_waits_for_an_event_before_a_replay_goes_on_waiting_for_it(database_url: str) -> None:
    bad = str(RECORDS[1])
    async with (
        receiving(lambda event: 500 if event["subject"] == bad else 204) as receiver,
        world(database_url, receiver) as it,
    ):
        it.append(1, 1, 2, 3, 1, 4)
        async with it.sending():
            await settled(it, 6, blocked=1)
        receiver.behave = lambda event: 204
        async with it.sending(replace(it.endpoint, replays=((7, 4),), revived=7)):
            await it_is_all_there(it, receiver, 6)


async def test_resuming_after_a_position_leaves_out_what_lies_between(database_url: str) -> None:
    async with receiving(lambda event: 500) as receiver, world(database_url, receiver) as it:
        it.append(1, 2, 3)
        async with it.sending():
            await settled(it, 3, blocked=3)
        receiver.behave = lambda event: 204
        async with it.sending(replace(it.endpoint, begun=4, after=2, revived=4)):
            await receiver.until(lambda: receiver.positions == [3])
            await settled(it, 3)
    assert receiver.positions == [3]


async def test_whoever_goes_on_repeats_little_and_leaves_out_nothing(database_url: str) -> None:
    """A session that is cut off in the middle, five times: the next goes on from what is remembered."""
    bad = {str(it) for it in RECORDS[:5]}
    seen: set[str] = set()

    def behave(event: dict[str, Any]) -> int:
        first = event["id"] not in seen
        seen.add(event["id"])
        return 500 if first and event["subject"] in bad else 204

    async with receiving(behave) as receiver, world(database_url, receiver) as it:
        it.append(*(number % 40 for number in range(800)))
        for round_ in range(5):
            async with it.sending() as task:
                await receiver.until(lambda: len(receiver.accepted) > 120 * (round_ + 1))  # noqa: B023
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            it.clock.advance(seconds=30)
        async with it.sending():
            await it_is_all_there(it, receiver, 800)
    assert all(found == list(range(1, 21)) for found in receiver.by_record().values())
    assert len(receiver.by_record()) == 40
    repeats = len(receiver.accepted) - 800
    assert repeats <= 5 * 2 * session.WINDOW, repeats


async def test_one_at_a_time_has_an_endpoint(database_url: str) -> None:
    async with (
        receiving() as receiver,
        world(database_url, receiver) as one,
        world(database_url, receiver) as two,
    ):
        id = UUID(int=9)
        assert await one.lease.members() == 2
        assert await one.lease.take(id)
        assert not await two.lease.take(id)
        await one.lease.leave()
        async with asyncio.timeout(30):
            while not await two.lease.take(id):  # noqa: ASYNC110 - the server has to notice
                await asyncio.sleep(0.02)
        assert await two.lease.members() == 1
