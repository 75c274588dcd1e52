"""A privacy request, from the day of receipt until it is answered."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid5

import pytest

from domain.model import Category
from domain.privacyrequest.aggregate import (
    AlreadyExtended,
    DossierMissing,
    ErasureUnderWay,
    ExtendedTooLate,
    ExtensionTooLong,
    GroundDoesNotApply,
    IdentityNotVerified,
    PrivacyRequest,
    RequestIsClosed,
)
from domain.privacyrequest.events import (
    PrivacyDossierMade,
    PrivacyErasureBegun,
    PrivacyIdentityVerified,
    PrivacyRequestExtended,
    PrivacyRequestFulfilled,
    PrivacyRequestReceived,
    PrivacyRequestRefused,
    PrivacyRequestReminded,
    PrivacyRequestWithdrawn,
)
from domain.privacyrequest.terms import (
    GROUNDS,
    ExtensionGround,
    IdentityProof,
    Notice,
    RefusalGround,
    RequestKind,
)
from domain.values import Channel, ErasureGround
from tests.domain.given import ID, SUBJECT, Fact, Given, fact

request = Given(PrivacyRequest)
DUE, LATER = date(2026, 4, 6), date(2026, 5, 5)
IN_TIME = datetime(2026, 4, 6, 23, 59, tzinfo=UTC)
TOO_LATE = datetime(2026, 4, 7, tzinfo=UTC)
DOSSIER, EXPORT, RECORD = UUID(int=7), UUID(int=8), UUID(int=9)
ERASURE = uuid5(ID, "erasure")

verified = fact(PrivacyIdentityVerified, proof=IdentityProof.CALLED_BACK)
extended = fact(PrivacyRequestExtended, months=1, due_on=LATER, ground=ExtensionGround.COMPLEXITY)
begun = fact(PrivacyErasureBegun, erasure_id=ERASURE, ground=ErasureGround.NO_LONGER_NECESSARY, categories=())
withdrawn = fact(PrivacyRequestWithdrawn)


def received(kind: RequestKind = RequestKind.ACCESS) -> Fact:
    return fact(
        PrivacyRequestReceived,
        kind=kind,
        channel=Channel.EMAIL,
        received_on=date(2026, 3, 5),
        due_on=DUE,
        text="Please.",
    )


def reminded(notice: Notice, due_on: date = DUE) -> Fact:
    return fact(PrivacyRequestReminded, notice=notice, due_on=due_on)


def test_a_request_is_due_one_month_after_its_receipt() -> None:
    request.when_made(
        lambda: PrivacyRequest.receive(
            id=ID,
            subject_id=SUBJECT,
            kind=RequestKind.ACCESS,
            channel=Channel.EMAIL,
            received_on=date(2026, 3, 5),
            text="Please.",
        )
    ).then(received())


def test_identity_is_verified_once() -> None:
    open_ = request.given(received())
    open_.when(lambda it: it.verify_identity(proof=IdentityProof.CALLED_BACK)).then(verified)
    open_.given(verified).when(lambda it: it.verify_identity(proof=IdentityProof.IN_PERSON)).then()


def test_the_time_is_extended_once_and_counts_from_receipt() -> None:
    open_ = request.given(received())
    open_.when(lambda it: it.extend(months=1, ground=ExtensionGround.COMPLEXITY, at=IN_TIME)).then(extended)
    again = open_.given(extended)
    again.when(lambda it: it.extend(months=1, ground=ExtensionGround.COMPLEXITY, at=IN_TIME)).then()
    again.when(lambda it: it.extend(months=2, ground=ExtensionGround.COMPLEXITY, at=IN_TIME)).refused(
        AlreadyExtended
    )


@pytest.mark.parametrize("months", [-1, 0, 3])
def test_the_time_is_extended_by_one_month_or_two(months: int) -> None:
    request.given(received()).when(
        lambda it: it.extend(months=months, ground=ExtensionGround.COMPLEXITY, at=IN_TIME)
    ).refused(ExtensionTooLong)


def test_the_time_is_not_extended_when_it_is_over() -> None:
    request.given(received()).when(
        lambda it: it.extend(months=2, ground=ExtensionGround.NUMBER_OF_REQUESTS, at=TOO_LATE)
    ).refused(ExtendedTooLate)


def test_a_notice_is_given_once_and_none_less_urgent_after_it() -> None:
    open_ = request.given(received())
    open_.when(lambda it: it.remind(notice=Notice.TWO_DAYS_LEFT, due_on=DUE)).then(
        reminded(Notice.TWO_DAYS_LEFT)
    )
    told = open_.given(reminded(Notice.TWO_DAYS_LEFT))
    told.when(lambda it: it.remind(notice=Notice.TWO_DAYS_LEFT, due_on=DUE)).then()
    told.when(lambda it: it.remind(notice=Notice.WEEK_LEFT, due_on=DUE)).then()
    told.when(lambda it: it.remind(notice=Notice.OVERDUE, due_on=DUE)).then(reminded(Notice.OVERDUE))


def test_a_new_deadline_has_notices_of_its_own_and_the_old_one_none() -> None:
    moved = request.given(received(), reminded(Notice.TWO_DAYS_LEFT), extended)
    moved.when(lambda it: it.remind(notice=Notice.OVERDUE, due_on=DUE)).then()
    moved.when(lambda it: it.remind(notice=Notice.WEEK_LEFT, due_on=LATER)).then(
        reminded(Notice.WEEK_LEFT, LATER)
    )


def test_a_closed_request_is_not_reminded_of() -> None:
    request.given(received(), withdrawn).when(lambda it: it.remind(notice=Notice.OVERDUE, due_on=DUE)).then()


@pytest.mark.parametrize("kind", RequestKind)
def test_nothing_is_fulfilled_before_the_identity_is_verified(kind: RequestKind) -> None:
    open_ = request.given(received(kind))
    open_.when(lambda it: it.fulfil(export_id=EXPORT)).refused(IdentityNotVerified)
    open_.when(lambda it: it.link_dossier(dossier_id=DOSSIER)).refused(IdentityNotVerified)


@pytest.mark.parametrize("kind", [RequestKind.ACCESS, RequestKind.PORTABILITY])
def test_access_is_given_by_a_dossier_or_an_export(kind: RequestKind) -> None:
    known = request.given(received(kind), verified)
    known.when(lambda it: it.fulfil()).refused(DossierMissing)
    known.when(lambda it: it.fulfil(export_id=EXPORT)).then(fact(PrivacyRequestFulfilled, export_id=EXPORT))
    made = fact(PrivacyDossierMade, dossier_id=DOSSIER)
    known.when(lambda it: it.link_dossier(dossier_id=DOSSIER)).then(made)
    known.given(made).when(lambda it: it.fulfil()).then(fact(PrivacyRequestFulfilled, dossier_id=DOSSIER))


@pytest.mark.parametrize("kind", [RequestKind.RECTIFICATION, RequestKind.RESTRICTION, RequestKind.OBJECTION])
def test_other_requests_are_fulfilled_on_records(kind: RequestKind) -> None:
    known = request.given(received(kind), verified)
    known.when(lambda it: it.fulfil(record_ids=[RECORD, RECORD])).then(
        fact(PrivacyRequestFulfilled, record_ids=(RECORD,))
    )


def test_fulfilling_an_erasure_begins_it_and_the_end_of_the_erasure_fulfils() -> None:
    known = request.given(received(RequestKind.ERASURE), verified)
    known.when(lambda it: it.fulfil()).then(begun)
    known.when(
        lambda it: it.fulfil(ground=ErasureGround.OBJECTION, categories=[Category.IDENTITY, Category.CONTACT])
    ).then(
        fact(
            PrivacyErasureBegun,
            erasure_id=ERASURE,
            ground=ErasureGround.OBJECTION,
            categories=(Category.CONTACT, Category.IDENTITY),
        )
    )
    going = known.given(begun)
    going.when(lambda it: it.fulfil()).then()
    going.when(lambda it: it.erased(erasure_id=UUID(int=5))).then()
    done = fact(PrivacyRequestFulfilled, erasure_id=ERASURE)
    going.when(lambda it: it.erased(erasure_id=ERASURE)).then(done)
    going.given(done).when(lambda it: it.erased(erasure_id=ERASURE)).then()


def test_an_erasure_that_is_begun_is_not_taken_back() -> None:
    going = request.given(received(RequestKind.ERASURE), verified, begun)
    going.when(lambda it: it.withdraw()).refused(ErasureUnderWay)
    going.when(lambda it: it.refuse(ground=RefusalGround.LEGAL_CLAIMS)).refused(ErasureUnderWay)


@pytest.mark.parametrize(("kind", "ground"), [(kind, it) for kind in RequestKind for it in RefusalGround])
def test_a_request_is_refused_on_a_ground_that_the_law_has_for_it(
    kind: RequestKind, ground: RefusalGround
) -> None:
    outcome = request.given(received(kind)).when(lambda it: it.refuse(ground=ground))
    if ground in GROUNDS[kind]:
        outcome.then(fact(PrivacyRequestRefused, ground=ground))
    else:
        outcome.refused(GroundDoesNotApply)


ENDS = {
    "fulfilled": fact(PrivacyRequestFulfilled, export_id=EXPORT),
    "refused": fact(PrivacyRequestRefused, ground=RefusalGround.EXCESSIVE),
    "withdrawn": withdrawn,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_closed_request_stays_as_it_is(end: str) -> None:
    closed = request.given(received(), verified, ENDS[end])
    commands = {
        "fulfilled": lambda it: it.fulfil(export_id=EXPORT),
        "refused": lambda it: it.refuse(ground=RefusalGround.EXCESSIVE),
        "withdrawn": lambda it: it.withdraw(),
    }
    for name, command in commands.items():
        if name == end:
            closed.when(command).then()
        else:
            closed.when(command).refused(RequestIsClosed)
    closed.when(lambda it: it.verify_identity(proof=IdentityProof.IN_PERSON)).refused(RequestIsClosed)
    closed.when(lambda it: it.extend(months=2, ground=ExtensionGround.COMPLEXITY, at=IN_TIME)).refused(
        RequestIsClosed
    )
