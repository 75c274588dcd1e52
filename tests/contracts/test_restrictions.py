"""Restricting the processing of a person's data, on PostgreSQL and on its twins in memory."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from domain.restriction.aggregate import Restriction, RestrictionHasOtherCause
from domain.values import CurrencyCode, Money, RestrictionCause, Stage
from projections.rights import RestrictionFilter
from services.erasures import SubjectNotFound
from services.ports import Ground, ProcessingRestricted, RecordNotFound, SubjectIsErased
from services.restrictions import restriction_of
from tests.rightsworlds import RightsWorld, rights_world

MONEY = Money(amount=Decimal(5), currency=CurrencyCode("EUR"))
CONTESTED, CLAIMS = RestrictionCause.ACCURACY_CONTESTED, RestrictionCause.LEGAL_CLAIMS


@pytest.fixture(params=["postgres", "memory"])
def url(request: pytest.FixtureRequest) -> str | None:
    found: str | None = request.getfixturevalue("database_url") if request.param == "postgres" else None
    return found


@pytest.fixture
async def world(url: str | None, tmp_path: Path) -> AsyncIterator[RightsWorld]:
    async with rights_world(url, tmp_path) as it:
        yield it


async def test_nothing_is_added_to_a_restricted_person_without_a_ground(world: RightsWorld) -> None:
    ann, anns = await world.person()
    _, bobs = await world.person()
    await world.restrictions.impose(subject_id=ann, cause=CONTESTED, context=world.command())
    with pytest.raises(ProcessingRestricted):
        await world.note(anns)
    with pytest.raises(ProcessingRestricted):
        await world.person(ann)
    await world.note(anns, ground=Ground.LEGAL_CLAIMS)
    await world.note(bobs)
    assert len((await world.log.store.load(anns)).events) == 2


async def test_what_seals_nothing_of_the_person_goes_on(world: RightsWorld) -> None:
    ann, anns = await world.person()
    await world.restrictions.impose(subject_id=ann, cause=CONTESTED, context=world.command())
    await world.customers.archive(id=anns, context=world.command())
    with pytest.raises(ProcessingRestricted):
        await world.customers.reinstate(id=anns, context=world.command(reason="she called"))


async def test_of_commits_stored_together_only_the_restricted_ones_are_refused(world: RightsWorld) -> None:
    people = [await world.person() for _ in range(6)]
    for ann, _ in people[::2]:
        await world.restrictions.impose(subject_id=ann, cause=CLAIMS, context=world.command())
    answers = await asyncio.gather(*(world.note(id) for _, id in people), return_exceptions=True)
    assert [type(it) for it in answers] == [ProcessingRestricted, type(None)] * 3


async def test_after_the_restriction_is_lifted_everything_goes_on(world: RightsWorld) -> None:
    ann, anns = await world.person()
    await world.restrictions.impose(subject_id=ann, cause=CONTESTED, context=world.command(reason="she says"))
    await world.restrictions.lift(subject_id=ann, context=world.command(reason="it is right now"))
    await world.note(anns)
    await world.restrictions.impose(subject_id=ann, cause=CLAIMS, context=world.command())
    with pytest.raises(ProcessingRestricted):
        await world.note(anns)


async def test_a_command_that_was_stored_before_keeps_its_answer(world: RightsWorld) -> None:
    ann, anns = await world.person()
    command = world.command()
    first = await world.customers.write_note(id=anns, text="called", context=command)
    await world.restrictions.impose(subject_id=ann, cause=CONTESTED, context=world.command())
    again = await world.customers.write_note(id=anns, text="called", context=command)
    assert (again.version, again.repeated) == (first.version, True)


async def test_a_repeated_imposition_brings_no_lifted_restriction_back(world: RightsWorld) -> None:
    ann, anns = await world.person()
    command = world.command()
    first = await world.restrictions.impose(subject_id=ann, cause=CONTESTED, context=command)
    await world.restrictions.lift(subject_id=ann, context=world.command())
    again = await world.restrictions.impose(subject_id=ann, cause=CONTESTED, context=command)
    assert (again.position, again.repeated) == (first.position, True)
    await world.note(anns)


async def test_a_fact_whose_mark_was_lost_in_a_crash_is_marked_from_the_log(world: RightsWorld) -> None:
    ann, anns = await world.person()
    imposed = await world.application.create(
        lambda: Restriction.impose_first(id=restriction_of(ann), subject_id=ann, cause=CONTESTED),
        context=world.command(),
    )
    await world.note(anns)  # the saga died before its second step
    fact = await world.recorded(imposed.position)
    assert fact.event.TOPIC in world.restrictions.causes
    await world.restrictions.on(fact)
    with pytest.raises(ProcessingRestricted):
        await world.note(anns)


async def test_facts_that_come_again_out_of_step_change_no_mark(world: RightsWorld) -> None:
    ann, anns = await world.person()
    imposed = await world.restrictions.impose(subject_id=ann, cause=CONTESTED, context=world.command())
    lifted = await world.restrictions.lift(subject_id=ann, context=world.command())
    facts = [await world.recorded(it.position) for it in (imposed, lifted)]
    await world.restrictions.on(facts[0])
    await world.note(anns)
    last = await world.restrictions.impose(subject_id=ann, cause=CLAIMS, context=world.command())
    await world.restrictions.on(facts[1])
    with pytest.raises(ProcessingRestricted):
        await world.note(anns)
    assert last.version == 3


async def test_only_who_is_known_and_not_erased_is_restricted(world: RightsWorld) -> None:
    with pytest.raises(SubjectNotFound):
        await world.restrictions.impose(subject_id=uuid4(), cause=CONTESTED, context=world.command())
    ann, _ = await world.person()
    with pytest.raises(RecordNotFound):
        await world.restrictions.lift(subject_id=ann, context=world.command())
    await world.log.ring.shred(ann)
    with pytest.raises(SubjectIsErased):
        await world.restrictions.impose(subject_id=ann, cause=CONTESTED, context=world.command())


async def test_two_who_restrict_at_once_agree(world: RightsWorld) -> None:
    ann, _ = await world.person()
    answers = await asyncio.gather(
        *(
            world.restrictions.impose(subject_id=ann, cause=it, context=world.command())
            for it in (CONTESTED, CLAIMS)
        ),
        return_exceptions=True,
    )
    assert sorted(type(it).__name__ for it in answers) == ["Outcome", RestrictionHasOtherCause.__name__]


async def test_the_view_shows_who_is_restricted_and_why(world: RightsWorld) -> None:
    ann, _ = await world.person()
    bob, _ = await world.person()
    for it in (ann, bob):
        await world.restrictions.impose(subject_id=it, cause=CLAIMS, context=world.command())
    await world.restrictions.lift(subject_id=bob, context=world.command())
    await world.follow()
    rights = world.views.rights
    [row] = await rights.list_restrictions(RestrictionFilter(standing=True), limit=10)
    assert (row.id, row.subject_id, row.cause, row.lifted_at) == (restriction_of(ann), ann, CLAIMS, None)
    lifted = await rights.list_restrictions(RestrictionFilter(standing=False), limit=10)
    assert [it.subject_id for it in lifted] == [bob]
    gone = await rights.restriction(restriction_of(bob))
    assert gone is not None
    assert (gone.cause, gone.lifted_at) == (None, world.clock.now())


async def test_a_restricted_persons_sale_registers_no_customer_unless_it_was_made_on_a_ground(
    world: RightsWorld,
) -> None:
    for ground, expected in ((None, None), (Ground.CONSENT, "somebody")):
        lead_id, ann = uuid4(), uuid4()
        await world.leads.capture(
            id=lead_id, subject_id=ann, context=world.command(), source="fair", name="Ann"
        )
        await world.restrictions.impose(subject_id=ann, cause=CONTESTED, context=world.command())
        won = await world.leads.win(id=lead_id, value=MONEY, context=world.command(ground=ground))
        await world.reactions.on(await world.recorded(won.position))
        await world.follow()
        lead = await world.views.pipeline.lead(lead_id)
        assert lead is not None
        assert lead.stage is Stage.WON
        assert (lead.customer_id is None) is (expected is None)
