"""A won lead has a customer: once, under the lead's data subject, whatever happens in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from domain.customer.events import ContactAdded, CustomerRegistered
from domain.lead.events import LeadLinked, LeadWon
from domain.model import Event, Sealed
from domain.values import CountryCode, CurrencyCode, EmailAddress, LawfulBasis, Money, PhoneNumber
from infra.eventstore.unsealer import BoxUnsealer
from services.application import Application
from services.leads import Leads
from services.ports import CommandContext, Commit, EventStore, History, Outcome, Recorded, Unavailable
from services.reactions import Reactions
from tests.eventlogs import NAMESPACE, MemoryLog, SteppingClock, context, mapped, memory_log

LEAD, SUBJECT, ANN = UUID(int=1), UUID(int=2), UUID(int=3)
VALUE = Money(amount=Decimal(5), currency=CurrencyCode("EUR"))
ADA: dict[str, Any] = {
    "source": "web",
    "name": "Ada",
    "email": EmailAddress("ada@example.com"),
    "phone": PhoneNumber("+442079460000"),
}


@dataclass
class World:
    """A log, the leads in it, and what follows from them."""

    log: MemoryLog
    leads: Leads
    reactions: Reactions

    async def won(self, **captured: Any) -> Recorded:
        """A lead won at once; its last event as a reader of the log has it."""
        await self.leads.capture(id=LEAD, subject_id=SUBJECT, context=context(), **captured)
        await self.leads.win(id=LEAD, context=context(), value=VALUE)
        return (await self.everything())[-1]

    async def everything(self) -> list[Recorded]:
        return mapped(self.log, await self.log.store.read(0, 100))

    async def after(self, position: int) -> list[Recorded]:
        return (await self.everything())[position:]

    async def clear(self, event: Event, *names: str) -> list[Any]:
        handles = [getattr(event, name) for name in names]
        opened = await BoxUnsealer(self.log.ring, NAMESPACE).open([it for it in handles if it is not None])
        return [opened[it] if isinstance(it, Sealed) else it for it in handles]


def world_on(log: MemoryLog, store: EventStore) -> World:
    application = Application(store, SteppingClock())
    return World(log, Leads(application), Reactions(application, BoxUnsealer(log.ring, NAMESPACE)))


@pytest.fixture
def world() -> World:
    log = memory_log()
    return world_on(log, log.store)


def of(recorded: list[Recorded], kind: type[Event]) -> Any:
    (found,) = [it.event for it in recorded if isinstance(it.event, kind)]
    return found


async def test_a_won_lead_registers_its_customer_under_the_same_data_subject(world: World) -> None:
    won = await world.won(**ADA, country=CountryCode("GB"))
    await world.reactions.on(won)
    registered, linked = await world.after(won.position)
    customer = of([registered], CustomerRegistered)
    assert (customer.subject_id, customer.lead_id, customer.source) == (SUBJECT, LEAD, "web")
    assert customer.lawful_basis is LawfulBasis.CONTRACT
    assert customer.country is None, "of a person nothing is public"
    assert await world.clear(customer, "name", "email", "phone") == ["Ada", ADA["email"], ADA["phone"]]
    assert of([linked], LeadLinked).customer_id == customer.originator_id


async def test_what_follows_names_its_cause_and_happens_at_its_time(world: World) -> None:
    won = await world.won(**ADA)
    await world.reactions.on(won)
    for it in await world.after(won.position):
        assert it.envelope.causation_id == won.envelope.event_id
        assert it.envelope.correlation_id == won.envelope.correlation_id
        assert it.envelope.actor == won.envelope.actor
        assert it.event.timestamp == won.event.timestamp


async def test_an_organisation_is_registered_with_its_person_as_a_contact(world: World) -> None:
    won = await world.won(**ADA, organisation="Acme", country=CountryCode("GB"))
    await world.reactions.on(won)
    followed = await world.after(won.position)
    customer, contact = of(followed, CustomerRegistered), of(followed, ContactAdded)
    assert (customer.organisation, customer.country) == ("Acme", "GB")
    assert contact.contact_id == SUBJECT
    assert await world.clear(contact, "name", "email", "phone") == ["Ada", ADA["email"], ADA["phone"]]
    assert customer.subject_id not in (SUBJECT, customer.originator_id)
    assert of(followed, LeadLinked).customer_id == customer.originator_id


async def test_an_organisation_without_a_known_person_is_registered_all_the_same(world: World) -> None:
    won = await world.won(source="web", organisation="Acme")
    await world.reactions.on(won)
    followed = await world.after(won.position)
    assert [it.event.TOPIC for it in followed] == ["customer.registered", "lead.linked"]


async def test_a_lead_that_has_its_customer_keeps_it(world: World) -> None:
    won = await world.won(**ADA, customer_id=ANN)
    await world.reactions.on(won)
    assert await world.after(won.position) == []


async def test_a_lead_that_names_nobody_registers_nobody(world: World) -> None:
    won = await world.won(source="web", email=ADA["email"])
    await world.reactions.on(won)
    assert await world.after(won.position) == []


async def test_who_is_erased_is_not_registered(world: World) -> None:
    won = await world.won(**ADA)
    await world.log.ring.shred(SUBJECT)
    await world.reactions.on(won)
    assert await world.after(won.position) == []


async def test_an_organisation_outlives_the_erasure_of_its_person(world: World) -> None:
    won = await world.won(**ADA, organisation="Acme")
    await world.log.ring.shred(SUBJECT)
    await world.reactions.on(won)
    followed = await world.after(won.position)
    assert [it.event.TOPIC for it in followed] == ["customer.registered", "lead.linked"]


async def test_an_event_that_comes_again_changes_nothing(world: World) -> None:
    won = await world.won(**ADA)
    for _ in range(3):
        await world.reactions.on(won)
    assert len(await world.after(won.position)) == 2


async def test_other_events_change_nothing(world: World) -> None:
    won = await world.won(**ADA)
    await world.reactions.on(won)
    everything = await world.everything()
    for it in everything:
        if not isinstance(it.event, LeadWon):
            await world.reactions.on(it)
    assert await world.everything() == everything


class Interrupted:
    """A store where, before the command at `step` of the reaction, `happens` does, once."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.step = -1
        self.happens: Any = None

    async def load(self, originator_id: UUID, *, after: int = 0) -> History:
        return await self._store.load(originator_id, after=after)

    async def append(self, commit: Commit) -> Outcome:
        if commit.context.causation_id is not None:
            self.step -= 1
            if self.step == -1:
                await self.happens()
        return await self._store.append(commit)

    async def append_all(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        return [await self.append(it) for it in commits]

    async def outcome_of(self, context: CommandContext) -> Outcome | None:
        return await self._store.outcome_of(context)


def interrupted() -> tuple[World, Interrupted]:
    log = memory_log()
    store = Interrupted(log.store)
    return world_on(log, store), store


@pytest.mark.parametrize("step", [0, 1])
async def test_a_reaction_that_broke_off_is_finished_when_the_event_comes_again(step: int) -> None:
    world, store = interrupted()

    async def break_off() -> None:
        raise Unavailable

    won = await world.won(**ADA)
    store.step, store.happens = step, break_off
    with pytest.raises(Unavailable):
        await world.reactions.on(won)
    assert len(await world.after(won.position)) == step
    await world.reactions.on(won)
    followed = [it.event.TOPIC for it in await world.after(won.position)]
    assert followed == ["customer.registered", "lead.linked"]


async def test_a_person_erased_between_the_steps_leaves_the_link_to_be_finished() -> None:
    world, store = interrupted()

    async def break_off() -> None:
        raise Unavailable

    won = await world.won(**ADA)
    store.step, store.happens = 1, break_off
    with pytest.raises(Unavailable):
        await world.reactions.on(won)
    await world.log.ring.shred(SUBJECT)
    await world.reactions.on(won)
    assert of(await world.after(won.position), LeadLinked).customer_id


async def test_a_person_erased_while_they_are_registered_is_not_registered() -> None:
    world, store = interrupted()

    async def erase() -> None:
        await world.log.ring.shred(SUBJECT)

    won = await world.won(**ADA)
    store.step, store.happens = 0, erase
    await world.reactions.on(won)
    assert await world.after(won.position) == []


async def test_a_link_by_hand_meanwhile_stands_and_ours_is_archived() -> None:
    world, store = interrupted()

    async def link_by_hand() -> None:
        await world.leads.link(id=LEAD, context=context(), customer_id=ANN)

    won = await world.won(**ADA)
    store.step, store.happens = 0, link_by_hand
    await world.reactions.on(won)
    followed = await world.after(won.position)
    assert [it.event.TOPIC for it in followed] == ["lead.linked", "customer.registered", "customer.archived"]
    assert of(followed, LeadLinked).customer_id == ANN
    await world.reactions.on(won)
    assert await world.after(won.position) == followed
