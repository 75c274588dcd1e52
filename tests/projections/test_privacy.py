"""The view of privacy requests, from commands to what it answers, on every kind of views."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from uuid import UUID, uuid5

from uuid_utils.compat import uuid7

from domain.privacyrequest.aggregate import PrivacyRequest
from domain.privacyrequest.terms import (
    ExtensionGround,
    IdentityProof,
    Notice,
    RefusalGround,
    RequestKind,
    RequestState,
)
from domain.values import Channel
from projections.privacy import PrivacyFigures, PrivacyRequestFilter, PrivacyRequestRow
from tests.projections.worlds import START, World, at

RECEIVED, DUE = date(2026, 3, 2), date(2026, 4, 2)
LAST_MOMENT = datetime(2026, 4, 2, 23, 59, 59, tzinfo=UTC)
TOO_LATE = datetime(2026, 4, 3, tzinfo=UTC)


async def received(
    world: World, kind: RequestKind = RequestKind.ACCESS, received_on: date = RECEIVED
) -> UUID:
    id = uuid7()
    await world.application.create(
        lambda: PrivacyRequest.receive(
            id=id,
            subject_id=uuid5(id, "who"),
            kind=kind,
            channel=Channel.WEB,
            received_on=received_on,
            text="Please, Maya.",
        ),
        context=at(),
    )
    return id


async def do(world: World, id: UUID, decide: Callable[[PrivacyRequest], None], hours: float = 1) -> None:
    await world.application.change(PrivacyRequest, id, decide, context=at(hours))


async def shown(world: World, id: UUID) -> PrivacyRequestRow:
    await world.settle()
    row = await world.views.privacy.request(id)
    assert row is not None
    return row


async def test_a_request_is_shown_as_it_stands(world: World) -> None:
    id, neighbour, dossier = await received(world), await received(world), uuid7()
    await do(world, id, lambda it: it.verify_identity(proof=IdentityProof.IN_PERSON))
    await do(world, id, lambda it: it.remind(notice=Notice.WEEK_LEFT, due_on=DUE))
    row = await shown(world, id)
    assert (row.due_on, row.notice, row.identity_proof) == (DUE, Notice.WEEK_LEFT, IdentityProof.IN_PERSON)
    assert await world.clear(row.text) == "Please, Maya."

    await do(world, id, lambda it: it.extend(months=1, ground=ExtensionGround.COMPLEXITY, at=START))
    await do(world, id, lambda it: it.link_dossier(dossier_id=dossier))
    row = await shown(world, id)
    assert (row.due_on, row.extended_by, row.notice) == (date(2026, 5, 4), 1, None)

    await do(world, id, lambda it: it.fulfil(), hours=2)
    row = await shown(world, id)
    assert (row.state, row.dossier_ids) == (RequestState.FULFILLED, [dossier])
    assert row.closed_at == at(2).occurred_at
    assert (await shown(world, neighbour)).version == 1


async def test_requests_are_found_by_what_they_are_and_when_they_are_due(world: World) -> None:
    access, erasure = await received(world), await received(world, RequestKind.ERASURE)
    early = await received(world, RequestKind.OBJECTION, date(2026, 2, 2))
    refused = await received(world)
    await do(world, refused, lambda it: it.refuse(ground=RefusalGround.EXCESSIVE))
    await do(world, erasure, lambda it: it.verify_identity(proof=IdentityProof.IN_PERSON))
    await do(world, erasure, lambda it: it.fulfil())
    await world.settle()

    async def found(at: datetime = LAST_MOMENT, **where: object) -> set[UUID]:
        rows = await world.views.privacy.list_requests(
            PrivacyRequestFilter(**where),  # type: ignore[arg-type]
            at=at,
            limit=9,
        )
        assert [row.id for row in rows] == sorted(row.id for row in rows)
        return {row.id for row in rows}

    assert await found() == {access, erasure, early, refused}
    assert await found(kind=RequestKind.ERASURE) == {erasure}
    assert await found(state=RequestState.REFUSED) == {refused}
    assert await found(subject_id=uuid5(access, "who")) == {access}
    assert await found(due_before=DUE) == {early}
    assert await found(erasing=True) == {erasure}
    assert await found(overdue=True) == {early}
    assert await found(TOO_LATE, overdue=True) == {access, erasure, early}
    assert await found(TOO_LATE, overdue=False) == {refused}
    assert await world.views.privacy.figures(at=LAST_MOMENT) == PrivacyFigures(open=3, overdue=1)
    assert await world.views.privacy.figures(at=TOO_LATE) == PrivacyFigures(open=3, overdue=3)
