"""What members have learnt and acknowledged, on PostgreSQL and on its twin in memory."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from projections.rights import StaffFilter
from services.members import Members
from tests.rightsworlds import RightsWorld, rights_world


@pytest.fixture(params=["postgres", "memory"])
def url(request: pytest.FixtureRequest) -> str | None:
    found: str | None = request.getfixturevalue("database_url") if request.param == "postgres" else None
    return found


@pytest.fixture
async def world(url: str | None, tmp_path: Path) -> AsyncIterator[RightsWorld]:
    async with rights_world(url, tmp_path) as it:
        yield it


async def member(world: RightsWorld) -> UUID:
    id = uuid4()
    await Members(world.application).register(
        id=id, subject_id=uuid4(), name="Amina", context=world.command()
    )
    return id


async def test_the_last_of_each_counts_and_the_first_that_ends_is_told(world: RightsWorld) -> None:
    members = Members(world.application)
    ann, bob = await member(world), await member(world)
    march, april, june = date(2026, 3, 1), date(2026, 4, 1), date(2026, 6, 1)
    for on, expires_on in ((date(2025, 3, 1), march), (march, june)):
        await members.train(
            id=ann, course="privacy", version="2", on=on, expires_on=expires_on, context=world.command()
        )
    terms: list[tuple[UUID, date | None]] = [(ann, april), (bob, None)]
    for id, ends_on in terms:
        await members.acknowledge(
            id=id, policy="privacy", version="1", on=march, expires_on=ends_on, context=world.command()
        )
    await members.leave(id=bob, context=world.command())
    await world.follow()

    async def over(day: date) -> list[UUID]:
        return [it.id for it in await world.views.rights.list_staff(StaffFilter(over_on=day), limit=10)]

    assert (await over(april), await over(date(2026, 4, 2))) == ([], [ann])
    [row] = await world.views.rights.list_staff(StaffFilter(present=True), limit=10)
    assert [(it["sort"], it["name"], it["on"], it["expires_on"]) for it in row.credentials] == [
        ("course", "privacy", "2026-03-01", "2026-06-01"),
        ("policy", "privacy", "2026-03-01", "2026-04-01"),
    ]
    assert row.expires_first == april
    [gone] = await world.views.rights.list_staff(StaffFilter(present=False), limit=10)
    assert (gone.id, gone.expires_first, gone.left_at) == (bob, None, world.clock.now())
