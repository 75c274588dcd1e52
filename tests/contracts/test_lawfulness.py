"""Consents, and what may be done on them: on PostgreSQL and on its twins in memory."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.activity.aggregate import ActivityAlreadyRegistered
from domain.consent.aggregate import ConsentNotDue
from domain.model import Category
from domain.values import Channel, LawfulBasis, RestrictionCause, SubjectKind
from infra.rightsjobs import expire
from projections.rights import ActivityFilter, ConsentFilter, ConsentState
from services.activities import activity_of
from services.erasures import SubjectNotFound
from services.lawfulness import NoLawfulBasis, PurposeRetired, UnknownPurpose, Why, consent_of
from services.ports import SubjectIsErased
from tests.rightsworlds import NOON, RightsWorld, rights_world

NEWS: dict[str, Any] = {
    "name": "Newsletter",
    "description": "Monthly news.",
    "lawful_basis": LawfulBasis.CONSENT,
    "consent_needed": True,
    "categories": (Category.CONTACT,),
    "subject_kinds": (SubjectKind.CUSTOMERS,),
}
ORDERS = NEWS | {"name": "Orders", "lawful_basis": LawfulBasis.CONTRACT, "consent_needed": False}
AGREED: dict[str, Any] = {"wording_version": "2", "source": "web form"}
TODAY = NOON.date()


@pytest.fixture(params=["postgres", "memory"])
def url(request: pytest.FixtureRequest) -> str | None:
    found: str | None = request.getfixturevalue("database_url") if request.param == "postgres" else None
    return found


@pytest.fixture
async def world(url: str | None, tmp_path: Path) -> AsyncIterator[RightsWorld]:
    async with rights_world(url, tmp_path) as it:
        await it.activities.register(code="news", context=it.command(), **NEWS)
        await it.activities.register(code="orders", context=it.command(), **ORDERS)
        yield it


async def give(world: RightsWorld, subject_id: UUID, channel: Channel | None = None, **more: Any) -> UUID:
    outcome = await world.consents.give(
        subject_id=subject_id,
        purpose="news",
        channel=channel,
        context=world.command(),
        **AGREED | more,
    )
    world.clock.moment += timedelta(minutes=1)
    return outcome.id


async def withdraw(world: RightsWorld, id: UUID) -> None:
    await world.consents.withdraw(id=id, context=world.command())
    world.clock.moment += timedelta(minutes=1)


async def why(world: RightsWorld, subject_id: UUID, channel: Channel | None = None, **to: Any) -> Why:
    at = to.get("at", world.clock.now())
    found = await world.lawfulness.check([subject_id], to.get("purpose", "news"), channel, at)
    return found[subject_id].why


async def test_a_consent_counts_from_its_answer_and_a_withdrawal_too(world: RightsWorld) -> None:
    ann, _ = await world.person()
    assert await why(world, ann) is Why.NO_CONSENT
    for _ in range(3):
        id = await give(world, ann, Channel.EMAIL)
        assert await why(world, ann) is Why.CONSENT
        await withdraw(world, id)
        assert await why(world, ann) is Why.WITHDRAWN


async def test_a_consent_holds_for_its_channel_and_one_without_a_channel_for_all(world: RightsWorld) -> None:
    ann, _ = await world.person()
    bob, _ = await world.person()
    await give(world, ann, Channel.EMAIL)
    await give(world, bob)
    assert [await why(world, ann, it) for it in (Channel.EMAIL, Channel.PHONE, None)] == [
        Why.CONSENT,
        Why.NO_CONSENT,
        Why.CONSENT,
    ]
    assert {await why(world, bob, it) for it in (*Channel, None)} == {Why.CONSENT}


async def test_who_takes_one_channel_back_keeps_the_others(world: RightsWorld) -> None:
    ann, _ = await world.person()
    email = await give(world, ann, Channel.EMAIL)
    await give(world, ann)
    await withdraw(world, email)
    assert await why(world, ann, Channel.EMAIL) is Why.WITHDRAWN
    assert await why(world, ann, Channel.PHONE) is Why.CONSENT
    assert await why(world, ann) is Why.CONSENT


async def test_who_takes_everything_back_takes_every_channel_back(world: RightsWorld) -> None:
    ann, _ = await world.person()
    everything = await give(world, ann)
    await give(world, ann, Channel.EMAIL)
    await withdraw(world, everything)
    assert {await why(world, ann, it) for it in (*Channel, None)} == {Why.WITHDRAWN}
    await give(world, ann, Channel.PHONE)
    assert await why(world, ann, Channel.PHONE) is Why.CONSENT


async def test_a_consent_holds_to_the_end_of_its_last_day_whether_the_scheduler_looked_or_not(
    world: RightsWorld,
) -> None:
    ann, _ = await world.person()
    id = await give(world, ann, expires_on=TODAY)
    assert await why(world, ann, at=world.clock.now()) is Why.CONSENT
    tomorrow = NOON + timedelta(days=1)
    assert await why(world, ann, at=tomorrow) is Why.EXPIRED
    with pytest.raises(ConsentNotDue):
        await world.consents.expire(id=id, today=TODAY, context=world.command())
    await world.consents.expire(id=id, today=tomorrow.date(), context=world.command())
    assert await why(world, ann, at=tomorrow) is Why.EXPIRED


async def test_of_several_consents_the_longest_is_told(world: RightsWorld) -> None:
    ann, _ = await world.person()
    await give(world, ann, Channel.EMAIL, expires_on=date(2026, 6, 1))
    await give(world, ann, Channel.PHONE, expires_on=date(2026, 7, 1))
    found = await world.lawfulness.check([ann], "news", None, world.clock.now())
    assert (found[ann].why, found[ann].until) == (Why.CONSENT, date(2026, 7, 1))


async def test_what_needs_no_consent_is_allowed_but_not_of_the_restricted_or_erased(
    world: RightsWorld,
) -> None:
    ann, bob, eve = [(await world.person())[0] for _ in range(3)]
    await world.restrictions.impose(subject_id=bob, cause=RestrictionCause.UNLAWFUL, context=world.command())
    await world.log.ring.shred(eve)
    found = await world.lawfulness.check([ann, bob, eve], "orders", None, world.clock.now())
    assert [found[it].why for it in (ann, bob, eve)] == [Why.ACTIVITY, Why.RESTRICTED, Why.ERASED]
    assert [found[it].allowed for it in (ann, bob, eve)] == [True, False, False]


async def test_a_customer_held_on_the_same_basis_for_the_same_purpose_needs_no_further_consent(
    world: RightsWorld,
) -> None:
    ann, _ = await world.person(lawful_basis=LawfulBasis.CONSENT, purpose="news")
    bob, _ = await world.person(lawful_basis=LawfulBasis.CONSENT, purpose="something else")
    eve, _ = await world.person(lawful_basis=LawfulBasis.CONTRACT, purpose="news")
    gone, archived = await world.person(lawful_basis=LawfulBasis.CONSENT, purpose="Newsletter")
    await world.follow()
    assert await why(world, gone) is Why.REGISTRATION
    await world.customers.archive(id=archived, context=world.command())
    await world.follow()
    found = await world.lawfulness.check([ann, bob, eve, gone], "news", None, world.clock.now())
    assert [found[it].why for it in (ann, bob, eve, gone)] == [Why.REGISTRATION, *[Why.NO_CONSENT] * 3]
    await withdraw(world, await give(world, ann))
    assert await why(world, ann) is Why.WITHDRAWN


async def test_a_command_for_a_purpose_needs_the_persons_consent(world: RightsWorld) -> None:
    ann, anns = await world.person()

    async def note() -> None:
        await world.customers.write_note(id=anns, text="x", context=world.command(purpose="news"))

    with pytest.raises(NoLawfulBasis):
        await note()
    id = await give(world, ann)
    await note()
    await withdraw(world, id)
    with pytest.raises(NoLawfulBasis):
        await note()
    await world.customers.write_note(id=anns, text="x", context=world.command(purpose="orders"))
    await world.note(anns)


async def test_a_command_that_was_stored_before_keeps_its_answer(world: RightsWorld) -> None:
    ann, anns = await world.person()
    id = await give(world, ann)
    command = world.command(purpose="news")
    first = await world.customers.write_note(id=anns, text="x", context=command)
    await withdraw(world, id)
    again = await world.customers.write_note(id=anns, text="x", context=command)
    assert (again.version, again.repeated) == (first.version, True)


async def test_who_is_registered_for_a_purpose_on_their_consent_is_registered(world: RightsWorld) -> None:
    basis: dict[str, Any] = {"lawful_basis": LawfulBasis.CONSENT}
    await world.person(context=world.command(purpose="news"), purpose="news", **basis)
    with pytest.raises(NoLawfulBasis):
        await world.person(context=world.command(purpose="news"), purpose="orders", **basis)


async def test_an_unknown_and_a_retired_purpose_are_refused(world: RightsWorld) -> None:
    ann, anns = await world.person()
    await world.activities.retire(id=activity_of("orders"), context=world.command())
    for purpose, refusal in (("orders", PurposeRetired), ("nothing", UnknownPurpose)):
        with pytest.raises(refusal):
            await world.customers.archive(id=anns, context=world.command(purpose=purpose))
        with pytest.raises(refusal):
            await world.lawfulness.check([ann], purpose, None, world.clock.now())
        with pytest.raises(refusal):
            await world.consents.give(subject_id=ann, purpose=purpose, context=world.command(), **AGREED)
    await world.activities.register(code="orders", context=world.command(), **ORDERS)
    await world.customers.archive(id=anns, context=world.command(purpose="orders"))


async def test_a_right_is_carried_out_whatever_purpose_the_command_names(world: RightsWorld) -> None:
    ann, _ = await world.person()
    context = world.command(purpose="news")
    given = await world.consents.give(subject_id=ann, purpose="news", context=context, **AGREED)
    await world.consents.withdraw(id=given.id, context=world.command(purpose="news"))


async def test_consents_are_given_and_taken_back_under_a_restriction(world: RightsWorld) -> None:
    ann, _ = await world.person()
    await world.restrictions.impose(
        subject_id=ann, cause=RestrictionCause.ACCURACY_CONTESTED, context=world.command()
    )
    id = await give(world, ann, evidence="She said so on the phone.")
    await world.consents.withdraw(id=id, context=world.command(reason="and then not"))


async def test_only_who_is_known_and_not_erased_gives_a_consent(world: RightsWorld) -> None:
    with pytest.raises(SubjectNotFound):
        await give(world, uuid4())
    ann, _ = await world.person()
    await world.log.ring.shred(ann)
    with pytest.raises(SubjectIsErased):
        await give(world, ann)


async def test_an_activity_is_registered_under_one_code_once(world: RightsWorld) -> None:
    with pytest.raises(ActivityAlreadyRegistered):
        await world.activities.register(code="news", context=world.command(), **NEWS)


async def test_the_view_shows_consents_and_the_register(world: RightsWorld) -> None:
    ann, _ = await world.person()
    email = await give(world, ann, Channel.EMAIL, expires_on=TODAY, evidence="Box 2")
    every = await give(world, ann, expires_on=TODAY + timedelta(days=1))
    await withdraw(world, every)
    await world.activities.retire(id=activity_of("orders"), context=world.command())
    await world.follow()
    rights = world.views.rights
    rows = {it.id: it for it in await rights.list_consents(ConsentFilter(subject_id=ann), limit=10)}
    assert {id: it.state for id, it in rows.items()} == {
        email: ConsentState.GIVEN,
        every: ConsentState.WITHDRAWN,
    }
    assert rows[every].ended_at is not None
    assert rows[email].id == consent_of(ann, "news", Channel.EMAIL)
    over = ConsentFilter(state=ConsentState.GIVEN, over_on=TODAY + timedelta(days=1))
    assert [it.id for it in await rights.list_consents(over, limit=10)] == [email]
    assert await rights.list_consents(ConsentFilter(channel=Channel.PHONE), limit=10) == []
    [news] = await rights.list_activities(ActivityFilter(living=True), limit=10)
    assert (news.code, news.consent_needed, news.categories) == ("news", True, ["contact"])
    [orders] = await rights.list_activities(ActivityFilter(code="orders"), limit=10)
    assert orders.retired_at == world.clock.now()


async def test_the_scheduler_records_what_has_expired_once(world: RightsWorld) -> None:
    people = [(await world.person())[0] for _ in range(3)]
    over = [await give(world, it, expires_on=TODAY) for it in people[:2]]
    await give(world, people[2], expires_on=TODAY + timedelta(days=9))
    await world.follow()
    anew = await give(world, people[1], expires_on=TODAY + timedelta(days=9))
    assert anew == over[1]
    tomorrow = NOON + timedelta(days=1)
    assert await expire(world.views.rights, world.consents, tomorrow) == 1
    assert await expire(world.views.rights, world.consents, tomorrow) == 0
    await world.follow()
    states = [
        (await world.views.rights.list_consents(ConsentFilter(subject_id=it), limit=1))[0].state
        for it in people
    ]
    assert states == [ConsentState.EXPIRED, ConsentState.GIVEN, ConsentState.GIVEN]
