"""A privacy request under random commands, legal and illegal: what must hold whatever is asked."""

from datetime import UTC, date, datetime
from typing import Any, ClassVar, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant

from domain.model import Aggregate, Category, Event
from domain.privacyrequest.aggregate import PrivacyRequest
from domain.privacyrequest.deadline import due_on
from domain.privacyrequest.events import (
    PrivacyDossierMade,
    PrivacyErasureBegun,
    PrivacyIdentityVerified,
    PrivacyRequestExtended,
    PrivacyRequestFulfilled,
    PrivacyRequestRefused,
    PrivacyRequestReminded,
    PrivacyRequestWithdrawn,
)
from domain.privacyrequest.terms import (
    ExtensionGround,
    IdentityProof,
    Notice,
    RefusalGround,
    RequestKind,
    RequestState,
)
from domain.values import Channel, ErasureGround
from tests.domain.given import SUBJECT
from tests.domain.test_machines import Machine, Strategies, ids

RECEIVED = date(2026, 3, 5)
DUES = st.sampled_from([due_on(RECEIVED, extended_by=it) for it in range(3)])
ENDS = (PrivacyRequestFulfilled, PrivacyRequestRefused, PrivacyRequestWithdrawn)
NEED_IDENTITY = (PrivacyDossierMade, PrivacyErasureBegun, PrivacyRequestFulfilled)


class PrivacyRequestMachine(Machine):
    kind: ClassVar[type[Aggregate]] = PrivacyRequest
    first: ClassVar[str] = "receive"
    facts: ClassVar[Strategies] = {
        "subject_id": st.just(SUBJECT),
        "kind": st.sampled_from(RequestKind),
        "channel": st.sampled_from(Channel),
        "received_on": st.just(RECEIVED),
        "text": st.none() | st.just("Please."),
    }
    commands: ClassVar[dict[str, Strategies]] = {
        "verify_identity": {"proof": st.sampled_from(IdentityProof)},
        "extend": {
            "months": st.integers(0, 3),
            "ground": st.sampled_from(ExtensionGround),
            "at": st.datetimes(datetime(2026, 3, 5), datetime(2026, 4, 9), timezones=st.just(UTC)),  # noqa: DTZ001
        },
        "remind": {"notice": st.sampled_from(Notice), "due_on": DUES},
        "link_dossier": {"dossier_id": ids},
        "fulfil": {
            "ground": st.none() | st.sampled_from(ErasureGround),
            "categories": st.lists(st.sampled_from(Category), max_size=2),
            "export_id": st.none() | ids,
            "record_ids": st.lists(ids, max_size=2),
        },
        "erased": {"erasure_id": ids},
        "refuse": {"ground": st.sampled_from(RefusalGround)},
        "withdraw": {},
    }

    def of(self, *kinds: type[Event]) -> list[Any]:
        return [it for it in self.events if isinstance(it, kinds)]

    @invariant()
    def it_is_answered_once_and_nothing_follows(self) -> None:
        assert len(self.of(*ENDS)) <= 1
        assert not self.of(*ENDS) or isinstance(self.events[-1], ENDS)

    @invariant()
    def nothing_is_handed_out_or_erased_for_a_stranger(self) -> None:
        for number, it in enumerate(self.events):
            if isinstance(it, NEED_IDENTITY):
                assert any(isinstance(before, PrivacyIdentityVerified) for before in self.events[:number])

    @invariant()
    def the_deadline_moves_once_and_never_nearer(self) -> None:
        assert len(self.of(PrivacyRequestExtended)) <= 1
        if self.live:
            live = cast("PrivacyRequest", self.live)
            assert live.due_on == due_on(RECEIVED, extended_by=live.extended_by)

    @invariant()
    def notices_of_one_deadline_grow_more_urgent(self) -> None:
        for due in {it.due_on for it in self.of(PrivacyRequestReminded)}:
            given = [
                list(Notice).index(it.notice) for it in self.of(PrivacyRequestReminded) if it.due_on == due
            ]
            assert given == sorted(set(given))

    @invariant()
    def an_erasure_that_is_begun_is_answered_by_nothing_else(self) -> None:
        if self.of(PrivacyErasureBegun) and self.live.state is not RequestState.OPEN:
            assert self.live.state is RequestState.FULFILLED


PrivacyRequestMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestPrivacyRequest = PrivacyRequestMachine.TestCase
