"""Row 20: writes race erasures of the same people. No box is ever stored under a key made after the fence."""

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.model import Category, Erased
from infra import json
from infra.postgres.keyring import PostgresKeyRing
from services.ports import DataKey, KeyName, KeyState, Standing, SubjectIsErased
from tests.faults.sealed_log import SealedLog, command, sealed_log

WRITERS = 8
PAUSE_SECONDS_MAX = 0.004
LOCK = "PERFORM FROM keys.subjects WHERE subject_id = ANY (subject_ids) ORDER BY subject_id FOR SHARE;"


class DawdlingKeyRing:
    """Provides, then sits in the open transaction for a while: the moment an erasure must not slip into."""

    def __init__(self, ring: PostgresKeyRing) -> None:
        self._ring = ring

    async def provide(self, names: Collection[KeyName], *, within: Any) -> Mapping[KeyName, DataKey | Erased]:
        keys = await self._ring.provide(names, within=within)
        await asyncio.sleep(random.random() * PAUSE_SECONDS_MAX)
        return keys

    async def fetch(self, names: Collection[KeyName]) -> Mapping[KeyName, DataKey | Erased | None]:
        return await self._ring.fetch(names)

    async def open(
        self, names: Collection[KeyName], people: Collection[UUID]
    ) -> tuple[Mapping[KeyName, DataKey | Erased | None], Mapping[UUID, Standing]]:
        return await self._ring.open(names, people)

    async def states(self, subject_id: UUID) -> Mapping[Category, KeyState]:
        return await self._ring.states(subject_id)

    async def erased(self, subject_ids: Collection[UUID]) -> Any:
        return await self._ring.erased(subject_ids)

    async def standings(self, subject_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        return await self._ring.standings(subject_ids)


async def race(writer: SealedLog, eraser: SealedLog, outcomes: Counter[str]) -> tuple[UUID, set[str]]:
    """One person: a note and an erasure at once, then a note that comes too late."""
    subject_id = uuid4()
    id = await writer.register(subject_id)

    async def write(when: str) -> None:
        try:
            await writer.customers.write_note(id=id, text="called", context=command())
            outcomes[f"{when}: stored"] += 1
        except SubjectIsErased:
            outcomes[f"{when}: refused"] += 1

    async def erase() -> set[str]:
        await asyncio.sleep(random.random() * 2 * PAUSE_SECONDS_MAX)
        return set((await eraser.ring.shred(subject_id)).fingerprints.values())

    _, destroyed = await asyncio.gather(write("beside the erasure"), erase())
    await write("after the erasure")
    return subject_id, destroyed


async def violations(log: SealedLog, destroyed: Mapping[UUID, set[str]]) -> int:
    """Keys that live behind their fence, and boxes under a key that the erasure did not destroy."""
    [(living,)] = await log.rows(
        "SELECT count(*) FROM keys.data_keys JOIN keys.subjects USING (subject_id)"
        " WHERE state = 'active' AND erased_at IS NOT NULL"
    )
    events = await log.rows("SELECT state FROM log.events")
    boxes = [box for (state,) in events for box in json.decode(state)["sealed"]]
    assert boxes
    return int(living) + sum(box["key"] not in destroyed[UUID(box["subject"])] for box in boxes)


async def run_races(url: str, number: int) -> tuple[int, Counter[str]]:
    outcomes: Counter[str] = Counter()
    destroyed: dict[UUID, set[str]] = {}
    async with AsyncExitStack() as stack:
        # Each writer has a log of its own: in one group commit they would not race each other.
        writers = [
            await stack.enter_async_context(sealed_log(url, size=4, bent=DawdlingKeyRing))
            for _ in range(WRITERS)
        ]
        eraser = await stack.enter_async_context(sealed_log(url, size=WRITERS))

        async def run(writer: SealedLog, races: int) -> None:
            for _ in range(races):
                subject_id, keys = await race(writer, eraser, outcomes)
                destroyed[subject_id] = keys

        await asyncio.gather(*(run(writer, number // WRITERS) for writer in writers))
        return await violations(eraser, destroyed), outcomes


def without_the_lock(url: str) -> None:
    """The protection, broken: `keys.provide` as it is, but for the row lock."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_get_functiondef('keys.provide'::regproc)").fetchone()
        assert row is not None
        assert LOCK in row[0]
        connection.execute(row[0].replace(LOCK, "").encode())


def told(title: str, found: int, outcomes: Counter[str]) -> None:
    counts = ", ".join(f"{outcome} {number}" for outcome, number in sorted(outcomes.items()))
    print(f"row 20, {title}: {found} violations ({counts})")


@pytest.mark.parametrize(
    "races",
    [448, pytest.param(10_000, marks=[pytest.mark.torture, pytest.mark.timeout(1800)])],
)
async def test_no_box_is_stored_under_a_key_made_behind_the_fence(database_url: str, races: int) -> None:
    found, outcomes = await run_races(database_url, races)
    told(f"{races} races", found, outcomes)
    assert found == 0
    assert outcomes["after the erasure: stored"] == 0
    assert outcomes["beside the erasure: stored"] > races // 50, "the races are no races"
    assert outcomes["beside the erasure: refused"] > races // 50, "the races are no races"


async def test_without_the_row_lock_boxes_slip_behind_the_fence(database_url: str) -> None:
    without_the_lock(database_url)
    found, outcomes = await run_races(database_url, 304)
    told("without the row lock", found, outcomes)
    assert found > 0
