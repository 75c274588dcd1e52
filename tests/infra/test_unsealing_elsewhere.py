"""What one process knows in its memory never opens what another has erased, revoked or ended."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from domain.model import Category, Erased, Sealed
from infra.bootstrap import System
from infra.eventstore.sealedvalues import PostgresSealedValues
from infra.eventstore.unsealer import BoxUnsealer
from services.subscribers import NotASubscriber, subscriber_of
from services.unsealing import Unsealing
from tests.e2e.importing import system_on
from tests.infra.test_ledger_guard import command, erase, register

MIRROR = subscriber_of("mirror")


@pytest.fixture
async def processes(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[System, System]]:
    """Two of them over one database, with a subscriber that may open names."""
    async with AsyncExitStack() as stack:
        here, there = [await stack.enter_async_context(system_on(database_url, tmp_path)) for _ in range(2)]
        await here.subscribers.register(name="mirror", purpose="support", context=command(here))
        await here.subscribers.grant(id=MIRROR, categories=[Category.IDENTITY], context=command(here))
        yield here, there


async def opened(system: System, position: int) -> tuple[str | None, set[Category], set[Category]]:
    """The name in the event, what is erased, and what withheld."""
    [it], uses = await system.unsealing.open(MIRROR, [position])
    assert bool(uses) is (it.values["name"] is not None), "what is shown, and only that, is noted"
    return it.values["name"], it.erased, it.withheld


async def test_an_erasure_elsewhere_counts_on_the_next_call(processes: tuple[System, System]) -> None:
    here, there = processes
    ann = await register(here)
    position = await here.reader.last()
    assert (await opened(here, position))[0] is not None
    await erase(there, ann)
    assert await opened(here, position) == (None, {Category.IDENTITY}, set())


async def test_an_erasure_elsewhere_counts_also_when_the_box_is_open_already(
    processes: tuple[System, System],
) -> None:
    here, there = processes
    ann = await register(here)
    position = await here.reader.last()

    class Overtaken(BoxUnsealer):
        async def open(self, values: Sequence[Sealed]) -> Mapping[Sealed, str | Erased]:
            found = await super().open(values)
            assert {type(it) for it in found.values()} == {str}
            await erase(there, ann)
            return found

    unsealing = Unsealing(
        here.subscribers,
        sealed=PostgresSealedValues(here.reader, here.mapper),
        unsealer=Overtaken(here.ring, here.settings.namespace),
        ring=here.ring,
        lawfulness=here.lawfulness,
        clock=here.clock,
    )
    [it], uses = await unsealing.open(MIRROR, [position])
    assert (it.values, it.erased, uses) == ({"name": None}, {Category.IDENTITY}, {})


async def test_a_revocation_and_the_end_elsewhere_count_on_the_next_call(
    processes: tuple[System, System],
) -> None:
    here, there = processes
    await register(here)
    position = await here.reader.last()
    assert (await opened(here, position))[0] is not None
    await there.subscribers.revoke(id=MIRROR, context=command(there))
    assert await opened(here, position) == (None, set(), {Category.IDENTITY})
    await there.subscribers.grant(id=MIRROR, categories=[Category.IDENTITY], context=command(there))
    assert (await opened(here, position))[0] is not None
    await there.subscribers.end(id=MIRROR, context=command(there))
    with pytest.raises(NotASubscriber):
        await opened(here, position)
