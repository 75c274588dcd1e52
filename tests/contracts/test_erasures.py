"""Erasing a person, from request to fact, on PostgreSQL and on its twins in memory."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain.customer.aggregate import Customer
from domain.customer.events import CustomerNoteWritten, CustomerRegistered
from domain.erasure.aggregate import ErasureNotCarriedOut
from domain.erasure.events import ErasureRequested, SubjectErased
from domain.model import Category, Erased, Sealed
from domain.values import CustomerKind, EmailAddress, ErasureGround, LawfulBasis
from infra.blindindex import HmacBlindIndex
from infra.clock import SystemClock
from infra.eventstore.erasurejournal import PostgresErasureJournal
from infra.eventstore.unsealer import BoxUnsealer
from infra.kek import mint
from infra.ledgerkeeping import KeptLedger, open_ledger
from infra.memory.erasurejournal import MemoryErasureJournal
from infra.memory.ledger import MemoryLedger
from infra.memory.views import MemoryViews
from infra.postgres.indexpurger import PostgresIndexPurger
from infra.postgres.views.store import PostgresViewStore
from infra.postgres.views.views import PostgresViews
from infra.subjects import Subjects
from projections.directory import ContactDetail
from projections.views import Views
from services.application import Application
from services.customers import Customers
from services.erasures import Erasures, SubjectNotFound, WhenHeld
from services.ports import (
    CommandContext,
    KeyName,
    KeyState,
    Recorded,
    RecordNotFound,
    Shredded,
    Standing,
    SubjectIsErased,
    SubjectIsHeld,
)
from tests.eventlogs import NAMESPACE, Log, PostgresLog, memory_log, postgres_log

GROUND = ErasureGround.CONSENT_WITHDRAWN
EMAIL = EmailAddress("ann@example.com")


def command(reason: str | None = None) -> CommandContext:
    return CommandContext(uuid4(), b"digest", "tester", datetime.now(UTC), uuid4(), reason=reason)


@dataclass
class World:
    """A log with its views and the saga over them."""

    log: Log
    store: PostgresViewStore | MemoryViews
    views: Views
    unsealer: BoxUnsealer
    application: Application
    customers: Customers
    subjects: Subjects
    erasures: Erasures
    purger: PostgresIndexPurger | MemoryViews
    journal: PostgresErasureJournal | MemoryErasureJournal
    ledger: KeptLedger | MemoryLedger
    position: int = 0

    async def register(self, subject_id: UUID, email: EmailAddress = EMAIL) -> UUID:
        id = uuid4()
        await self.customers.register(
            id=id,
            subject_id=subject_id,
            context=command(),
            kind=CustomerKind.PERSON,
            source="web",
            lawful_basis=LawfulBasis.CONSENT,
            purpose="sales",
            name="Ann",
            email=email,
        )
        return id

    async def end_epochs(self) -> None:
        """As if what is erased were of an epoch that is over. What is in memory has no older copies."""
        if isinstance(self.log, PostgresLog):
            async with self.log.pool.connection() as connection:
                await connection.execute("UPDATE keys.data_keys SET epoch = 0 WHERE state = 'erased'")

    async def follow(self) -> None:
        """The views catch up."""
        while stored := await self.log.reader.read(self.position, 1000):
            await self.store.apply([self.log.mapper.to_domain_event(it) for it in stored], "log")
            self.position = stored[-1].id

    async def erase(self, subject_id: UUID) -> UUID:
        asked = await self.erasures.request(
            id=uuid4(), erased_subject_id=subject_id, ground=GROUND, context=command("a letter")
        )
        await self.erasures.run(asked.id)
        return asked.id


@pytest.fixture(params=["postgres", "memory"])
def url(request: pytest.FixtureRequest) -> str | None:
    found: str | None = request.getfixturevalue("database_url") if request.param == "postgres" else None
    return found


@pytest.fixture
async def world(url: str | None, tmp_path: Path) -> AsyncIterator[World]:
    blind = HmacBlindIndex(mint())
    if url is None:
        memory = memory_log()
        unsealer = BoxUnsealer(memory.ring, NAMESPACE)
        twins = MemoryViews(unsealer, blind, memory.ring)
        journal = MemoryErasureJournal(memory.store, memory.mapper)
        yield _world(memory, twins, twins, unsealer, twins, journal, MemoryLedger())
        return
    async with postgres_log(url, tmp_path) as log:
        unsealer = BoxUnsealer(log.ring, NAMESPACE)
        store = PostgresViewStore(log.pool, unsealer, blind)
        kept = PostgresErasureJournal(log.pool, log.mapper)
        views = PostgresViews(log.pool, blind)
        ledger = await open_ledger(log.pool, tmp_path / "ledger", namespace=NAMESPACE, clock=SystemClock())
        yield _world(log, store, views, unsealer, PostgresIndexPurger(log.pool), kept, ledger)


def _world(
    log: Log,
    store: PostgresViewStore | MemoryViews,
    views: Views,
    unsealer: BoxUnsealer,
    purger: PostgresIndexPurger | MemoryViews,
    journal: PostgresErasureJournal | MemoryErasureJournal,
    ledger: KeptLedger | MemoryLedger,
) -> World:
    application = Application(log.store, SystemClock())
    subjects = Subjects(log.ring, views.timeline, views.directory)
    erasures = Erasures(
        application, shredder=log.ring, purger=purger, subjects=subjects, journal=journal, ledger=ledger
    )
    return World(
        log,
        store,
        views,
        unsealer,
        application,
        Customers(application),
        subjects,
        erasures,
        purger,
        journal,
        ledger,
    )


async def test_after_an_erasure_every_value_reads_as_erased_and_the_history_stands(world: World) -> None:
    ann, bob = uuid4(), uuid4()
    anns, bobs = await world.register(ann), await world.register(bob)
    await world.customers.write_note(id=anns, text="called", context=command("asked to"))

    await world.erase(ann)

    registered, noted = (await world.log.store.load(anns)).events
    assert isinstance(registered, CustomerRegistered)
    assert isinstance(noted, CustomerNoteWritten)
    handles = [it for it in (registered.name, registered.email, noted.text) if isinstance(it, Sealed)]
    assert list((await world.unsealer.open(handles)).values()) == [
        Erased(Category.IDENTITY),
        Erased(Category.CONTACT),
        Erased(Category.CONVERSATION),
    ]
    [other] = (await world.log.store.load(bobs)).events
    assert isinstance(other, CustomerRegistered)
    assert isinstance(other.name, Sealed)
    assert await world.unsealer.open([other.name]) == {other.name: "Ann"}


async def test_the_log_says_who_was_erased_on_which_ground_and_which_keys_went(world: World) -> None:
    ann = uuid4()
    await world.register(ann)
    asked = command("a letter")
    outcome = await world.erasures.request(id=uuid4(), erased_subject_id=ann, ground=GROUND, context=asked)
    done = await world.erasures.run(outcome.id)

    requested, erased = (await world.log.store.load(outcome.id)).events
    assert isinstance(requested, ErasureRequested)
    assert isinstance(erased, SubjectErased)
    assert (requested.erased_subject_id, requested.ground) == (ann, GROUND)
    assert erased.erased_subject_id == ann
    assert len(erased.fingerprints) == 2
    assert (done.id, done.version) == (outcome.id, 2)

    stored = await world.log.reader.read(done.position - 1, 1)
    envelope = world.log.mapper.to_domain_event(stored[0]).envelope
    assert (envelope.actor, envelope.correlation_id) == (asked.actor, asked.correlation_id)
    first = await world.log.reader.read(outcome.position - 1, 1)
    request = world.log.mapper.to_domain_event(first[0]).envelope
    assert envelope.causation_id == request.event_id
    assert isinstance(request.reason, Sealed)
    assert await world.unsealer.open([request.reason]) == {request.reason: "a letter"}, (
        "it outlives the person"
    )


async def test_an_erased_person_is_not_found_by_their_address_even_by_a_late_projector(world: World) -> None:
    ann, bob = uuid4(), uuid4()
    await world.register(ann)
    await world.register(bob)
    await world.follow()
    await world.register(ann)  # not yet projected when the erasure comes
    await world.erase(ann)
    found = await world.views.directory.lookup(ContactDetail.EMAIL, EMAIL)
    assert [it.subject_id for it in found] == [bob]
    await world.follow()
    found = await world.views.directory.lookup(ContactDetail.EMAIL, EMAIL)
    assert [it.subject_id for it in found] == [bob]


async def test_nothing_is_written_about_an_erased_person_but_their_record_can_be_closed(world: World) -> None:
    ann = uuid4()
    id = await world.register(ann)
    await world.erase(ann)
    with pytest.raises(SubjectIsErased):
        await world.customers.write_note(id=id, text="called", context=command())
    with pytest.raises(SubjectIsErased):
        await world.register(ann)
    with pytest.raises(SubjectIsErased):
        await world.customers.archive(id=id, context=command("gone"))
    await world.customers.archive(id=id, context=command())


async def test_a_person_who_is_erased_twice_is_erased(world: World) -> None:
    ann = uuid4()
    await world.register(ann)
    first, second = await world.erase(ann), await world.erase(ann)
    events = [(await world.log.store.load(id)).events[1] for id in (first, second)]
    assert [isinstance(it, SubjectErased) for it in events] == [True, True]
    assert len({it.fingerprints for it in events if isinstance(it, SubjectErased)}) == 1


async def test_a_repeated_request_gets_the_first_answer(world: World) -> None:
    ann, context = uuid4(), command()
    await world.register(ann)
    one, other = [
        await world.erasures.request(id=uuid4(), erased_subject_id=ann, ground=GROUND, context=context)
        for _ in range(2)
    ]
    assert other == replace(one, repeated=True)


async def test_nobody_unknown_is_erased(world: World) -> None:
    with pytest.raises(SubjectNotFound):
        await world.erase(uuid4())
    with pytest.raises(RecordNotFound):
        await world.erasures.run(uuid4())
    assert await world.erasures.resume() == 0


async def test_a_subject_without_any_personal_data_is_known_by_its_record(world: World) -> None:
    subject_id = uuid4()
    await world.application.create(
        lambda: Customer.register(
            id=uuid4(),
            subject_id=subject_id,
            kind=CustomerKind.ORGANISATION,
            source="web",
            lawful_basis=LawfulBasis.CONTRACT,
            purpose="sales",
            organisation="Acme",
        ),
        context=command(),
    )
    await world.follow()
    id = await world.erase(subject_id)
    assert isinstance((await world.log.store.load(id)).events[1], SubjectErased)
    assert await world.log.ring.erased([subject_id]) == {subject_id}


async def test_requests_that_were_left_are_finished_together(world: World) -> None:
    people = [uuid4() for _ in range(5)]
    for person in people:
        await world.register(person)
        await world.erasures.request(id=uuid4(), erased_subject_id=person, ground=GROUND, context=command())
    assert await world.erasures.resume() == 5
    assert await world.erasures.resume() == 0
    assert await world.log.ring.erased(people) == set(people)


async def test_two_processes_that_finish_one_erasure_record_it_once(world: World) -> None:
    ann = uuid4()
    await world.register(ann)
    asked = await world.erasures.request(id=uuid4(), erased_subject_id=ann, ground=GROUND, context=command())
    one, other = await asyncio.gather(world.erasures.run(asked.id), world.erasures.run(asked.id))
    assert (one.version, one.position) == (other.version, other.position)
    assert len((await world.log.store.load(asked.id)).events) == 2


async def test_one_erasure_that_fails_keeps_no_other_waiting(world: World) -> None:
    stuck, free = uuid4(), uuid4()
    for person in (stuck, free):
        await world.register(person)
        await world.erasures.request(id=uuid4(), erased_subject_id=person, ground=GROUND, context=command())

    class Broken:
        """A key store that fails for one person."""

        async def standings(self, subject_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
            return await world.log.ring.standings(subject_ids)

        async def shred(self, subject_id: UUID, categories: Set[Category] = frozenset()) -> Shredded:
            if subject_id == stuck:
                raise RuntimeError(subject_id)
            return await world.log.ring.shred(subject_id, categories)

        async def unsealed(self, subject_ids: Collection[UUID]) -> Set[KeyName]:
            return await world.log.ring.unsealed(subject_ids)

    broken = Erasures(
        world.application,
        shredder=Broken(),
        purger=world.purger,
        subjects=world.subjects,
        journal=world.journal,
        ledger=world.ledger,
    )
    with pytest.raises(ExceptionGroup):
        await broken.resume()
    assert await world.log.ring.erased([stuck, free]) == {free}
    assert await world.erasures.resume() == 1
    assert await world.log.ring.erased([stuck, free]) == {stuck, free}


async def test_a_subject_shows_its_keys_records_and_erasures_and_no_values(world: World) -> None:
    ann = uuid4()
    assert await world.subjects.view(ann) is None
    id = await world.register(ann)
    await world.follow()
    before = await world.subjects.view(ann)
    assert before is not None
    assert not before.erased
    assert before.keys[Category.IDENTITY] is KeyState.ACTIVE
    assert before.keys[Category.FINANCIAL] is KeyState.NEVER
    assert [it.id for it in before.records] == [id]
    erasure_id = await world.erase(ann)
    await world.follow()
    after = await world.subjects.view(ann)
    assert after is not None
    assert after.erased
    assert after.keys[Category.IDENTITY] is KeyState.ERASED
    assert [it.id for it in after.erasures] == [erasure_id]
    assert id in [it.id for it in after.records]


async def hold(world: World, subject_id: UUID) -> UUID:
    hold_id = uuid4()
    assert await world.log.ring.hold(hold_id, subject_id)
    return hold_id


async def test_an_erasure_of_one_category_leaves_the_others_as_they_are(world: World) -> None:
    ann = uuid4()
    id = await world.register(ann)
    await world.follow()
    erasing = await world.erasures.erase(
        id=uuid4(), erased_subject_id=ann, ground=GROUND, context=command(), categories=[Category.CONTACT]
    )
    [registered] = (await world.log.store.load(id)).events
    assert isinstance(registered, CustomerRegistered)
    handles = [it for it in (registered.name, registered.email) if isinstance(it, Sealed)]
    assert list((await world.unsealer.open(handles)).values()) == ["Ann", Erased(Category.CONTACT)]
    [_, erased] = (await world.log.store.load(erasing.outcome.id)).events
    assert isinstance(erased, SubjectErased)
    assert erased.categories == (Category.CONTACT,)
    assert [it.fingerprint for it in handles][1:] == list(erased.fingerprints)
    assert await world.log.ring.erased([ann]) == set()
    with pytest.raises(SubjectIsErased):
        await world.customers.change_email(id=id, email=EMAIL, context=command())
    await world.customers.rename(id=id, name="Anna", organisation=None, context=command())


async def test_a_partial_erasure_takes_the_address_out_of_the_index_only_with_the_contact_data(
    world: World,
) -> None:
    ann, bob = uuid4(), uuid4()
    for person, category in ((ann, Category.CONTACT), (bob, Category.CONVERSATION)):
        await world.register(person)
        await world.follow()
        await world.erasures.erase(
            id=uuid4(), erased_subject_id=person, ground=GROUND, context=command(), categories=[category]
        )
        await world.follow()
    found = await world.views.directory.lookup(ContactDetail.EMAIL, EMAIL)
    assert [it.subject_id for it in found] == [bob]
    assert await world.views.directory.erased([ann, bob]) == set(), "both live on"


async def test_a_late_projector_does_not_bring_an_erased_address_back(world: World) -> None:
    ann = uuid4()
    await world.register(ann)  # not yet projected
    await world.erasures.erase(
        id=uuid4(), erased_subject_id=ann, ground=GROUND, context=command(), categories=[Category.CONTACT]
    )
    await world.follow()
    assert await world.views.directory.lookup(ContactDetail.EMAIL, EMAIL) == []


async def test_naming_every_category_is_an_erasure_of_everything(world: World) -> None:
    ann = uuid4()
    await world.register(ann)
    await world.erasures.erase(
        id=uuid4(), erased_subject_id=ann, ground=GROUND, context=command(), categories=list(Category)
    )
    assert await world.log.ring.erased([ann]) == {ann}


async def test_a_legal_hold_refuses_an_erasure_and_nothing_is_recorded(world: World) -> None:
    ann = uuid4()
    await world.register(ann)
    await hold(world, ann)
    asked = uuid4()
    with pytest.raises(SubjectIsHeld):
        await world.erasures.erase(id=asked, erased_subject_id=ann, ground=GROUND, context=command())
    assert await world.journal.request(asked) is None
    assert await world.log.ring.erased([ann]) == set()


async def test_a_queued_erasure_waits_for_the_hold_and_is_carried_out_when_it_is_lifted(world: World) -> None:
    ann = uuid4()
    await world.register(ann)
    hold_id = await hold(world, ann)
    erasing = await world.erasures.erase(
        id=uuid4(), erased_subject_id=ann, ground=GROUND, context=command(), when_held=WhenHeld.QUEUE
    )
    await world.follow()
    row = await world.views.directory.erasure(erasing.outcome.id)
    assert row is not None
    assert (erasing.held, row.held, row.erased_at) == (True, True, None)
    assert [await world.erasures.resume() for _ in range(2)] == [0, 0]
    with pytest.raises(SubjectIsHeld):
        await world.erasures.run(erasing.outcome.id)

    await world.log.ring.release(hold_id, ann)
    assert await world.erasures.resume() == 1
    await world.follow()
    row = await world.views.directory.erasure(erasing.outcome.id)
    assert row is not None
    assert (row.held, row.erased_at is not None) == (False, True)
    assert await world.log.ring.erased([ann]) == {ann}
    topics = [it.TOPIC for it in (await world.log.store.load(erasing.outcome.id)).events]
    assert topics == ["erasure.requested", "erasure.held", "subject.erased"]


async def test_a_hold_that_comes_after_the_ledger_entry_still_stops_the_erasure(world: World) -> None:
    ann = uuid4()
    await world.register(ann)

    class Slow:
        """A ledger during whose writing a hold is placed."""

        async def enter(self, request: Recorded) -> str:
            entered = await world.ledger.enter(request)
            await hold(world, ann)
            return entered

        async def retract(self, request: Recorded) -> None:
            await world.ledger.retract(request)

    raced = Erasures(
        world.application,
        shredder=world.log.ring,
        purger=world.purger,
        subjects=world.subjects,
        journal=world.journal,
        ledger=Slow(),
    )
    erasing = await raced.erase(id=uuid4(), erased_subject_id=ann, ground=GROUND, context=command())
    assert erasing.held
    assert await world.log.ring.erased([ann]) == set()
    if isinstance(world.ledger, KeptLedger):
        kinds = [it.fields.get("kind") for it in world.ledger.file.after(None)]
        assert kinds == [None, "erased", "held"]


async def test_a_request_made_before_the_hold_keeps_its_answer(world: World) -> None:
    ann, context = uuid4(), command()
    await world.register(ann)
    first = await world.erasures.request(id=uuid4(), erased_subject_id=ann, ground=GROUND, context=context)
    await hold(world, ann)
    again = await world.erasures.request(id=uuid4(), erased_subject_id=ann, ground=GROUND, context=context)
    assert again == replace(first, repeated=True)


async def test_subscribers_acknowledge_an_erasure_once_each_after_it_is_carried_out(world: World) -> None:
    ann = uuid4()
    await world.register(ann)
    asked = await world.erasures.request(id=uuid4(), erased_subject_id=ann, ground=GROUND, context=command())
    with pytest.raises(ErasureNotCarriedOut):
        await world.erasures.acknowledge(id=asked.id, subscriber="mail", context=command())
    await world.erasures.run(asked.id)
    for subscriber in ("mail", "shop", "mail"):
        await world.erasures.acknowledge(id=asked.id, subscriber=subscriber, context=command())
    await world.follow()
    row = await world.views.directory.erasure(asked.id)
    assert row is not None
    assert row.acknowledged_by == ["mail", "shop"]


async def test_an_epoch_seals_each_erasure_from_before_it_once(world: World) -> None:
    for person in (people := [uuid4(), uuid4()]):
        await world.register(person)
    first = await world.erase(people[0])
    if isinstance(world.log, PostgresLog):
        assert await world.erasures.seal(epoch=2, kek_id="file-0") == 0, "an old copy opens still"
    await world.end_epochs()
    assert await world.erasures.seal(epoch=2, kek_id="file-1") == 1
    assert await world.erasures.seal(epoch=2, kek_id="file-1") == 0
    second = await world.erase(people[1])
    await world.end_epochs()
    assert await world.erasures.seal(epoch=3, kek_id="file-2") == 1
    await world.follow()
    rows = [await world.views.directory.erasure(id) for id in (first, second)]
    assert [it and it.sealed_epoch for it in rows] == [2, 3]
