"""The directory, from commands to what it answers, on every kind of views."""

from uuid import UUID

from uuid_utils.compat import uuid7

from domain.model import Erased
from domain.values import CustomerKind, EmailAddress, LawfulBasis, PhoneNumber
from projections.directory import ContactDetail, CustomerFilter, Found, MemberFilter
from tests.projections.worlds import World, at

EMAIL, PHONE = ContactDetail.EMAIL, ContactDetail.PHONE


async def person(world: World, *, email: str | None = None, phone: str | None = None) -> tuple[UUID, UUID]:
    id, subject_id = uuid7(), uuid7()
    await world.customers.register(
        id=id,
        subject_id=subject_id,
        context=at(),
        kind=CustomerKind.PERSON,
        source="web",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="sales",
        name="Ann Lee",
        email=None if email is None else EmailAddress.parse(email),
        phone=None if phone is None else PhoneNumber.parse(phone),
    )
    return id, subject_id


async def organisation(world: World, name: str = "Acme") -> tuple[UUID, UUID]:
    id, subject_id = uuid7(), uuid7()
    await world.customers.register(
        id=id,
        subject_id=subject_id,
        context=at(),
        kind=CustomerKind.ORGANISATION,
        source="web",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="sales",
        organisation=name,
        sector="retail",
        employees=120,
    )
    return id, subject_id


async def test_a_registered_person_is_shown_sealed_and_opens_for_a_reader(world: World) -> None:
    id, subject_id = await person(world, email="ann@example.com")
    neighbour, _ = await person(world)
    await world.settle()

    row = await world.views.directory.customer(id)
    assert row is not None
    assert (row.subject_id, row.version, row.kind, row.archived) == (
        subject_id,
        1,
        CustomerKind.PERSON,
        False,
    )
    assert await world.clear(row.name) == "Ann Lee"
    assert await world.clear(row.email) == "ann@example.com"
    assert (row.born_on, row.phone, row.contacts) == (None, None, [])
    assert [it.id for it in await world.views.directory.customers([neighbour, uuid7(), id])] == [
        neighbour,
        id,
    ]


async def test_every_change_shows_and_the_neighbour_stays_as_it_was(world: World) -> None:
    id, _ = await person(world, email="ann@example.com")
    neighbour, _ = await person(world, email="bob@example.com")
    owner = uuid7()
    customers = world.customers
    await customers.rename(id=id, name="Ann Smith", context=at(1))
    await customers.change_email(id=id, email=EmailAddress.parse("smith@example.com"), context=at(2))
    await customers.change_phone(id=id, phone=PhoneNumber.parse("+442079460000"), context=at(3))
    await customers.change_address(id=id, address="1 High Street\nLeeds", context=at(4))
    await customers.assign(id=id, owner_id=owner, context=at(5))
    await customers.segment(id=id, segment="retail", context=at(6))
    await customers.tag(id=id, tags=["vip", "uk"], context=at(7))
    await customers.write_note(id=id, text="likes tea", context=at(8))
    await customers.archive(id=id, context=at(9))
    await world.settle()

    row = await world.views.directory.customer(id)
    assert row is not None
    assert (row.version, row.owner_id, row.segment, row.tags) == (10, owner, "retail", ["uk", "vip"])
    assert row.archived
    assert row.changed_at == at(9).occurred_at
    assert await world.clear(row.name) == "Ann Smith"
    assert await world.clear(row.email) == "smith@example.com"
    assert await world.clear(row.phone) == "+442079460000"
    assert await world.clear(row.address) == "1 High Street\nLeeds"
    beside = await world.views.directory.customer(neighbour)
    assert beside is not None
    assert (beside.version, beside.archived, beside.tags) == (1, False, [])

    await customers.reinstate(id=id, context=at(10))
    await world.settle()
    assert [
        it.id for it in await world.views.directory.list_customers(CustomerFilter(archived=True), limit=9)
    ] == []


async def test_contacts_come_change_and_go_each_under_their_own_subject(world: World) -> None:
    id, _ = await organisation(world)
    first, second = uuid7(), uuid7()
    await world.customers.add_contact(
        id=id,
        contact_id=first,
        name="Jo",
        role="buyer",
        email=EmailAddress.parse("jo@acme.example"),
        context=at(),
    )
    await world.customers.add_contact(id=id, contact_id=second, name="Kim", context=at())
    await world.customers.change_contact(id=id, contact_id=first, name="Joanna", role="chief", context=at())
    await world.settle()

    row = await world.views.directory.customer(id)
    assert row is not None
    assert {it.id for it in row.contacts} == {first, second}
    joanna = next(it for it in row.contacts if it.id == first)
    assert [await world.clear(it) for it in (joanna.name, joanna.role)] == ["Joanna", "chief"]
    assert joanna.email is None
    assert await world.views.directory.lookup(EMAIL, "jo@acme.example") == []

    await world.customers.remove_contact(id=id, contact_id=first, context=at())
    await world.settle()
    row = await world.views.directory.customer(id)
    assert row is not None
    assert [it.id for it in row.contacts] == [second]


async def test_exact_lookup_finds_people_by_what_they_have_now_and_by_nothing_else(world: World) -> None:
    id, subject_id = await person(world, email="Ann@example.com", phone="+442079460000")
    shop, _ = await organisation(world)
    contact = uuid7()
    await world.customers.add_contact(
        id=shop, contact_id=contact, name="Ann", email=EmailAddress.parse("ann@example.com"), context=at()
    )
    await world.settle()
    lookup = world.views.directory.lookup

    both = sorted([Found(subject_id, id), Found(contact, shop)], key=lambda it: it.record_id)
    assert await lookup(EMAIL, " ANN@EXAMPLE.COM ") == both
    assert await lookup(PHONE, "+44 20 7946 0000") == [Found(subject_id, id)]
    assert await lookup(EMAIL, "nn@example.com") == []
    assert await lookup(PHONE, "ann@example.com") == []

    await world.customers.change_email(id=id, email=EmailAddress.parse("new@example.com"), context=at())
    await world.customers.change_phone(id=id, phone=None, context=at())
    await world.settle()
    assert await lookup(EMAIL, "ann@example.com") == [Found(contact, shop)]
    assert await lookup(EMAIL, "new@example.com") == [Found(subject_id, id)]
    assert await lookup(PHONE, "+442079460000") == []


async def test_an_erased_person_is_found_no_more_and_the_record_stands(world: World) -> None:
    id, subject_id = await person(world, email="ann@example.com")
    neighbour, neighbours_subject = await person(world, email="bob@example.com")
    await world.settle()
    erasure_id = await world.erase(subject_id)
    await world.customers.archive(id=id, context=at(1))
    await world.settle()
    directory = world.views.directory

    assert await directory.lookup(EMAIL, "ann@example.com") == []
    assert await directory.lookup(EMAIL, "bob@example.com") == [Found(neighbours_subject, neighbour)]
    assert await directory.erased([subject_id, neighbours_subject]) == {subject_id}
    row = await directory.customer(id)
    assert row is not None
    assert row.archived
    assert isinstance(await world.clear(row.name), Erased)
    erasure = await directory.erasure(erasure_id)
    assert erasure is not None
    assert erasure.erased_at is not None
    assert len(erasure.fingerprints) == 2
    assert await directory.erasures_of(subject_id) == [erasure]
    assert await directory.erasures_of(neighbours_subject) == []


async def test_lists_go_page_by_page_and_filters_let_through_what_they_name(world: World) -> None:
    people = [(await person(world))[0] for _ in range(3)]
    shop, _ = await organisation(world)
    await world.customers.tag(id=people[1], tags=["vip"], context=at())
    await world.settle()
    directory = world.views.directory

    async def ids(where: CustomerFilter, limit: int = 9, after: UUID | None = None) -> list[UUID]:
        return [it.id for it in await directory.list_customers(where, limit=limit, after=after)]

    everyone = sorted([*people, shop])
    assert await ids(CustomerFilter()) == everyone
    assert await ids(CustomerFilter(), limit=2) == everyone[:2]
    assert await ids(CustomerFilter(), after=everyone[1]) == everyone[2:]
    assert await ids(CustomerFilter(kind=CustomerKind.ORGANISATION)) == [shop]
    assert await ids(CustomerFilter(sector="retail", archived=False)) == [shop]
    assert await ids(CustomerFilter(tag="vip")) == [people[1]]
    assert await ids(CustomerFilter(owner_id=uuid7())) == []


async def test_members_move_and_leave(world: World) -> None:
    ids = [uuid7(), uuid7()]
    for id in ids:
        await world.members.register(
            id=id, subject_id=uuid7(), name="Sam", team="east", office="Leeds", context=at()
        )
    boss = uuid7()
    await world.members.move(id=ids[0], team="west", office="York", manager_id=boss, context=at(1))
    await world.members.leave(id=ids[1], context=at(2))
    await world.settle()
    directory = world.views.directory

    moved, left = await directory.members(ids)
    assert (moved.team, moved.office, moved.manager_id, moved.left_at) == ("west", "York", boss, None)
    assert await world.clear(moved.name) == "Sam"
    assert left.left_at == at(2).occurred_at
    assert [it.id for it in await directory.list_members(MemberFilter(present=True), limit=9)] == [ids[0]]
    assert [it.id for it in await directory.list_members(MemberFilter(office="Leeds"), limit=9)] == [ids[1]]
    assert await directory.member(uuid7()) is None
