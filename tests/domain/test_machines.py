"""Each aggregate under random commands, legal and illegal: what must hold whatever is asked."""

import inspect
import os
from copy import deepcopy
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, ClassVar, cast, get_args
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.activity.aggregate import Activity
from domain.consent.aggregate import Consent
from domain.customer.aggregate import Customer, Registration
from domain.customer.events import CustomerArchived, CustomerNoteWritten, CustomerReinstated
from domain.erasure.aggregate import Erasure
from domain.hold.aggregate import Hold
from domain.lead.aggregate import Capture, Lead
from domain.lead.events import LeadWon
from domain.member.aggregate import Joining, Member
from domain.model import Aggregate, Category, DomainError, Event, happening_at
from domain.restriction.aggregate import Restriction
from domain.retention.aggregate import Retention
from domain.subscriber.aggregate import Subscriber
from domain.ticket.aggregate import Opening, Ticket
from domain.ticket.events import (
    TicketClosed,
    TicketNoteWritten,
    TicketProgressed,
    TicketReopened,
    TicketReplyReceived,
)
from domain.values import (
    Channel,
    CountryCode,
    CurrencyCode,
    CustomerKind,
    EmailAddress,
    ErasureGround,
    LawfulBasis,
    Level,
    LossReason,
    Money,
    PhoneNumber,
    ProcessingRole,
    RestrictionCause,
    SubjectKind,
    SupportLine,
)
from domain.webhook.aggregate import Webhook
from domain.webhook.events import ParkCause, WebhookSecretRotated
from services.application import replay
from tests.domain.given import ID, NOON, SUBJECT, said

Strategies = dict[str, st.SearchStrategy[Any]]

ids = st.integers(1, 3).map(lambda it: UUID(int=it))
maybe_ids = st.none() | ids
words = st.sampled_from(["a", "b", "", " "])
maybe_words = st.none() | words
emails = st.none() | st.just(EmailAddress("ada@example.com"))
phones = st.none() | st.just(PhoneNumber("+442079460000"))
dates = st.none() | st.just(date(2026, 5, 1))
days = st.sampled_from([date(2026, 5, 1), date(2026, 6, 1)])
currencies = st.sampled_from([CurrencyCode("EUR"), CurrencyCode("USD")])
values = st.builds(Money, amount=st.sampled_from([Decimal(it) for it in (-1, 0, 1, 2)]), currency=currencies)
channels = st.sampled_from(Channel)
levels = st.sampled_from(Level)
contact: Strategies = {"name": words, "role": maybe_words, "email": emails, "phone": phones}


class Machine(RuleBasedStateMachine):
    """Sends random commands to one aggregate, and holds what is true of every aggregate."""

    kind: ClassVar[type[Aggregate]]
    first: ClassVar[str]
    facts: ClassVar[Strategies]
    """Legal ones: illegal creations are in the tests of each aggregate."""
    commands: ClassVar[dict[str, Strategies]]

    live: Any = None

    @initialize(data=st.data())
    def make(self, data: st.DataObject) -> None:
        facts = data.draw(st.fixed_dictionaries(self.facts))
        with happening_at(NOON):
            self.live = getattr(self.kind, self.first)(id=ID, **facts)

    @rule(data=st.data())
    def command(self, data: st.DataObject) -> None:
        verb = data.draw(st.sampled_from(sorted(self.commands)))
        arguments = data.draw(st.fixed_dictionaries(self.commands[verb]))
        before = deepcopy(vars(self.live))
        refusal = self.refusal_of(verb, arguments)
        if refusal is not None:
            assert refusal.subject == ID
            assert vars(self.live) == before, f"{verb} was refused, and changed something all the same"
        self.decided(before, self.events[before["_version"] :])

    def refusal_of(self, verb: str, arguments: dict[str, Any]) -> DomainError | None:
        with happening_at(NOON):
            try:
                getattr(self.live, verb)(**arguments)
            except DomainError as refusal:
                return refusal
        return None

    @property
    def events(self) -> list[Event]:
        return cast("list[Event]", self.live.pending_events) if self.live else []

    def decided(self, before: dict[str, Any], new: list[Event]) -> None:
        """What the aggregate's own rules say of the events `new`, given the state before."""

    @invariant()
    def versions_are_contiguous(self) -> None:
        assert [it.originator_version for it in self.events] == list(range(1, len(self.events) + 1))

    @invariant()
    def replay_equals_the_live_state(self) -> None:
        if self.live:
            again, live = vars(replay(self.kind, ID, self.events)), vars(self.live)
            assert {**again, "_pending_events": None} == {**live, "_pending_events": None}

    @invariant()
    def every_event_is_of_the_record_and_its_subject(self) -> None:
        for it in self.events:
            assert it.originator_id == ID
            assert getattr(it, "subject_id", self.live.subject_id) == self.live.subject_id


class CustomerMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Customer
    first: ClassVar[str] = "register"
    facts: ClassVar[Strategies] = {
        "subject_id": st.just(SUBJECT),
        "kind": st.just(CustomerKind.PERSON),
        "source": words,
        "lawful_basis": st.sampled_from(LawfulBasis),
        "purpose": words,
        "lead_id": maybe_ids,
        "name": st.sampled_from(["a", "b"]),
        "born_on": st.none() | st.just("1815-12-10"),
        "email": emails,
        "phone": phones,
        "address": maybe_words,
    }
    commands: ClassVar[dict[str, Strategies]] = {
        "rename": {"name": maybe_words, "organisation": maybe_words},
        "change_email": {"email": emails},
        "change_phone": {"phone": phones},
        "change_address": {"address": maybe_words},
        "add_contact": {"contact_id": ids, **contact},
        "change_contact": {"contact_id": ids, **contact},
        "remove_contact": {"contact_id": ids},
        "assign": {"owner_id": maybe_ids},
        "segment": {"segment": maybe_words},
        "tag": {"tags": st.lists(words, max_size=3)},
        "write_note": {"text": words},
        "archive": {},
        "reinstate": {},
    }

    def decided(self, before: dict[str, Any], new: list[Event]) -> None:
        if before["archived"]:
            assert all(isinstance(it, CustomerReinstated | CustomerNoteWritten) for it in new)
        else:
            assert not any(isinstance(it, CustomerReinstated) for it in new)
        assert self.live.archived is (
            any(isinstance(it, CustomerArchived) for it in new)
            or (before["archived"] and not any(isinstance(it, CustomerReinstated) for it in new))
        )

    @invariant()
    def nothing_personal_of_an_organisation_and_nothing_public_of_a_person(self) -> None:
        for event in self.events:
            topic, says = said(event)
            if topic in ("customer.registered", "customer.renamed"):
                of_person = self.live.kind is CustomerKind.PERSON
                assert (says["organisation"] is None) is of_person
                assert (says["name"] is not None) is of_person


class OrganisationMachine(CustomerMachine):
    facts: ClassVar[Strategies] = {
        "subject_id": st.just(SUBJECT),
        "kind": st.just(CustomerKind.ORGANISATION),
        "source": words,
        "lawful_basis": st.sampled_from(LawfulBasis),
        "purpose": words,
        "organisation": st.sampled_from(["a", "b"]),
        "sector": st.none() | st.just("tools"),
        "employees": st.none() | st.just(3),
        "country": st.none() | st.just(CountryCode("GB")),
        "parent": st.none() | st.just("Inc"),
        "lead_id": maybe_ids,
    }


class LeadMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Lead
    first: ClassVar[str] = "capture"
    facts: ClassVar[Strategies] = {
        "subject_id": st.just(SUBJECT),
        "source": words,
        "campaign": maybe_words,
        "product": maybe_words,
        "currency": st.none() | currencies,
        "expected_close_on": dates,
        "organisation": maybe_words,
        "country": st.none() | st.just(CountryCode("GB")),
        "customer_id": maybe_ids,
        "owner_id": maybe_ids,
        "name": maybe_words,
        "email": emails,
        "phone": phones,
        "note": maybe_words,
    }
    commands: ClassVar[dict[str, Strategies]] = {
        "contact": {"channel": st.none() | channels, "note": maybe_words},
        "qualify": {"value": values, "expected_close_on": dates},
        "propose": {"value": values, "valid_until": dates},
        "revalue": {"value": values},
        "assign": {"owner_id": maybe_ids},
        "link": {"customer_id": ids},
        "win": {"value": values},
        "lose": {"cause": st.sampled_from(LossReason), "note": maybe_words},
        "disqualify": {"note": maybe_words},
        "reopen": {},
    }

    def decided(self, before: dict[str, Any], new: list[Event]) -> None:
        if any(isinstance(it, LeadWon) for it in self.events[: before["_version"]]):
            assert {it.TOPIC for it in new} <= {"lead.assigned", "lead.linked"}
            assert before["customer_id"] in (None, self.live.customer_id)

    @invariant()
    def all_values_are_in_one_currency_and_none_is_negative(self) -> None:
        told = [it.value for it in self.events if hasattr(it, "value")]
        assert len({it.currency for it in told} | {self.live.currency} if told else set()) <= 1
        assert all(it.amount >= 0 for it in told)


class TicketMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Ticket
    first: ClassVar[str] = "open"
    facts: ClassVar[Strategies] = {
        "subject_id": st.just(SUBJECT),
        "channel": channels,
        "impact": levels,
        "urgency": levels,
        "customer_id": maybe_ids,
        "product": maybe_words,
        "country": st.none() | st.just(CountryCode("GB")),
        "subject": maybe_words,
        "description": maybe_words,
    }
    commands: ClassVar[dict[str, Strategies]] = {
        "prioritise": {"impact": levels, "urgency": levels},
        "assign": {"team": words, "agent_id": maybe_ids},
        "escalate": {"line": st.sampled_from(SupportLine), "team": maybe_words},
        "progress": {"activity": words},
        "send_reply": {"channel": channels, "text": words},
        "receive_reply": {"channel": channels, "text": words},
        "write_note": {"text": words},
        "pause": {"waiting_for": st.sampled_from(["customer", "parts"])},
        "resume": {},
        "resolve": {"note": maybe_words},
        "reopen": {},
        "close": {},
    }

    def decided(self, before: dict[str, Any], new: list[Event]) -> None:
        closed = [isinstance(it, TicketClosed) for it in self.events[: before["_version"]]]
        reopened = [isinstance(it, TicketReopened) for it in self.events[: before["_version"]]]
        last_closed = max((at for at, it in enumerate(closed) if it), default=-1)
        last_reopened = max((at for at, it in enumerate(reopened) if it), default=-1)
        if last_closed > last_reopened:
            always = TicketProgressed | TicketNoteWritten | TicketReplyReceived | TicketReopened
            assert all(isinstance(it, always) for it in new)

    @invariant()
    def pauses_and_resumptions_alternate_but_for_a_change_of_what_is_waited_for(self) -> None:
        waiting: str | None = None
        for it in self.events:
            match said(it):
                case "ticket.paused", says:
                    assert says["waiting_for"] != waiting
                    waiting = says["waiting_for"]
                case "ticket.resumed", _:
                    assert waiting is not None
                    waiting = None
                case (("ticket.resolved" | "ticket.closed" | "ticket.reopened"), _):
                    waiting = None


class MemberMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Member
    first: ClassVar[str] = "register"
    facts: ClassVar[Strategies] = {
        "subject_id": st.just(SUBJECT),
        "name": st.sampled_from(["a", "b"]),
        "email": emails,
        "team": maybe_words,
        "office": maybe_words,
        "manager_id": st.none() | st.just(UUID(int=2)),
    }
    commands: ClassVar[dict[str, Strategies]] = {
        "move": {"team": maybe_words, "office": maybe_words, "manager_id": maybe_ids},
        "leave": {},
        "train": {"course": words, "version": words, "on": days, "expires_on": dates},
        "acknowledge": {"policy": words, "version": words, "on": days, "expires_on": dates},
    }

    @invariant()
    def nothing_happens_after_the_member_left_and_nobody_manages_themself(self) -> None:
        topics = [it.TOPIC for it in self.events]
        assert "member.left" not in topics[:-1]
        assert all(getattr(it, "manager_id", None) != ID for it in self.events)


class ErasureMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Erasure
    first: ClassVar[str] = "request"
    facts: ClassVar[Strategies] = {
        "erased_subject_id": ids,
        "ground": st.sampled_from(ErasureGround),
        "categories": st.sets(st.sampled_from(Category)),
    }
    commands: ClassVar[dict[str, Strategies]] = {
        "hold": {},
        "complete": {
            "fingerprints": st.lists(st.sampled_from(["0a", "1b"]), max_size=2),
            "ledger_hash": st.none() | st.just("2c"),
        },
        "acknowledge": {"subscriber": st.sampled_from(["billing", "post"])},
        "seal": {"epoch": st.integers(1, 2), "kek_id": st.just("k")},
    }

    @invariant()
    def it_is_held_before_it_completes_and_acknowledged_and_sealed_after(self) -> None:
        rank = ["erasure.requested", "erasure.held", "subject.erased"]
        ranks = [rank.index(it.TOPIC) if it.TOPIC in rank else len(rank) for it in self.events]
        assert ranks == sorted(ranks)
        assert len(rank) not in ranks or "subject.erased" in {it.TOPIC for it in self.events}

    @invariant()
    def nothing_is_said_twice(self) -> None:
        told = [(it.TOPIC, getattr(it, "subscriber", None)) for it in self.events]
        assert len(set(told)) == len(told)

    @invariant()
    def it_is_of_the_subject_and_the_categories_it_was_requested_for(self) -> None:
        for name in ("erased_subject_id", "categories"):
            assert len({getattr(it, name) for it in self.events if hasattr(it, name)}) <= 1


class RestrictionMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Restriction
    first: ClassVar[str] = "impose_first"
    facts: ClassVar[Strategies] = {"subject_id": st.just(SUBJECT), "cause": st.sampled_from(RestrictionCause)}
    commands: ClassVar[dict[str, Strategies]] = {
        "impose": {"cause": st.sampled_from(RestrictionCause)},
        "lift": {},
    }

    @invariant()
    def it_is_imposed_and_lifted_in_turn(self) -> None:
        turns = [it.TOPIC == "restriction.imposed" for it in self.events]
        assert turns == [at % 2 == 0 for at in range(len(turns))]


class HoldMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Hold
    first: ClassVar[str] = "place"
    facts: ClassVar[Strategies] = {
        "matter": st.sampled_from(["a", "b"]),
        "description": maybe_words,
    }
    commands: ClassVar[dict[str, Strategies]] = {
        "cover": {"subject_ids": st.lists(ids, max_size=3)},
        "release": {"subject_ids": st.lists(ids, max_size=2)},
        "lift": {},
    }

    @invariant()
    def everybody_is_covered_at_most_once_and_after_it_is_lifted_nobody(self) -> None:
        told = [(topic, says.get("covered_subject_id")) for topic, says in map(said, self.events)]
        assert len(set(told)) == len(told)
        assert ("hold.lifted", None) not in told[:-1]
        assert not self.events or not (self.live.lifted and self.live.covered)


agreement: Strategies = {
    "wording_version": words,
    "source": words,
    "expires_on": dates,
    "evidence": maybe_words,
}


class ConsentMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Consent
    first: ClassVar[str] = "give_first"
    facts: ClassVar[Strategies] = {
        "subject_id": st.just(SUBJECT),
        "purpose": words,
        "channel": st.none() | channels,
        **agreement,
    }
    commands: ClassVar[dict[str, Strategies]] = {
        "give": agreement,
        "withdraw": {},
        "expire": {"today": days},
    }

    @invariant()
    def it_holds_if_and_only_if_it_was_given_last(self) -> None:
        if self.events:
            assert self.live.living is (self.events[-1].TOPIC == "consent.given")


description: Strategies = {
    "name": words,
    "description": words,
    "lawful_basis": st.just(LawfulBasis.CONSENT),
    "consent_needed": st.just(True),
    "categories": st.just((Category.CONTACT,)),
    "subject_kinds": st.just((SubjectKind.LEADS,)),
    "role": st.sampled_from(ProcessingRole),
    "recipients": st.just(("a",)),
    "third_countries": st.just(("US",)),
    "safeguards": st.sampled_from(["a", "b"]),
    "retention": maybe_words,
    "security": maybe_words,
}


class ActivityMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Activity
    first: ClassVar[str] = "register_first"
    facts: ClassVar[Strategies] = {"code": words, **description}
    commands: ClassVar[dict[str, Strategies]] = {
        "register": description,
        "change": description | {"safeguards": maybe_words, "consent_needed": st.booleans()},
        "retire": {},
    }

    @invariant()
    def what_is_retired_is_registered_again_before_anything_else(self) -> None:
        topics = [it.TOPIC for it in self.events]
        after = [later for one, later in pairwise(topics) if one == "activity.retired"]
        assert set(after) <= {"activity.registered"}
        assert topics.count("activity.registered") - topics.count("activity.retired") in (0, 1)


term: Strategies = {
    "days": st.integers(0, 2),
    "after": st.sampled_from([(), ("last_activity",), ("ticket.closed",)]),
    "legal_reason": words,
}


class RetentionMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Retention
    first: ClassVar[str] = "set_first"
    facts: ClassVar[Strategies] = {
        "kind": st.just("ticket"),
        "category": st.sampled_from(Category),
        "days": st.integers(1, 2),
        "after": st.just(("last_activity",)),
        "legal_reason": st.sampled_from(["a", "b"]),
    }
    commands: ClassVar[dict[str, Strategies]] = {"set": term, "withdraw": {}}

    @invariant()
    def nothing_is_said_twice_in_a_row(self) -> None:
        told = [said(it) for it in self.events]
        assert all(one != later for one, later in pairwise(told))


urls = st.sampled_from(
    ["https://a.example/x", "https://b.example", "https://a:b@c.example", "ftp://a.example"]
)
positions = st.none() | st.integers(-1, 3)
types = st.sampled_from([(), ("lead",), ("lead.won", "customer")])


class WebhookMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Webhook
    first: ClassVar[str] = "register"
    facts: ClassVar[Strategies] = {"url": st.just("https://a.example/x"), "types": types}
    commands: ClassVar[dict[str, Strategies]] = {
        "change": {"url": urls, "types": types, "description": maybe_words},
        "rotate": {
            "now": st.just(NOON),
            "previous_until": st.sampled_from([NOON, NOON - timedelta(hours=1)]),
        },
        "park": {"cause": st.sampled_from(ParkCause)},
        "resume": {"after": positions},
        "replay": {"after": st.integers(-1, 3)},
        "remove": {},
    }

    @invariant()
    def it_is_parked_and_resumed_in_turn_and_removed_last(self) -> None:
        topics = [it.TOPIC for it in self.events]
        turns = [it for it in topics if it in ("webhook.parked", "webhook.resumed")]
        assert turns[::2] == ["webhook.parked"] * len(turns[::2])
        assert turns[1::2] == ["webhook.resumed"] * len(turns[1::2])
        assert "webhook.removed" not in topics[:-1]

    @invariant()
    def its_secrets_are_numbered_without_a_gap(self) -> None:
        numbers = [it.number for it in self.events if isinstance(it, WebhookSecretRotated)]
        assert numbers == list(range(2, len(numbers) + 2))


class SubscriberMachine(Machine):
    kind: ClassVar[type[Aggregate]] = Subscriber
    first: ClassVar[str] = "register_first"
    facts: ClassVar[Strategies] = {"name": st.just("mirror"), "purpose": st.sampled_from(["a", "b"])}
    commands: ClassVar[dict[str, Strategies]] = {
        "register": {},
        "grant": {
            "categories": st.sets(st.sampled_from(Category)),
            "purpose": st.none() | st.sampled_from(["a", "b", ""]),
        },
        "revoke": {"categories": st.sets(st.sampled_from(Category))},
        "end": {},
    }

    @invariant()
    def it_may_open_what_was_granted_last_and_not_revoked_since(self) -> None:
        open_now: dict[Category, str] = {}
        for event in self.events:
            match said(event):
                case "subscriber.granted", says:
                    new = dict.fromkeys(says["categories"], says["purpose"])
                    assert new
                    assert not new.items() & open_now.items(), "granted twice"
                    open_now |= new
                case "subscriber.revoked", says:
                    assert set(says["categories"]) <= open_now.keys(), "revoked, and was not granted"
                    open_now = {it: open_now[it] for it in open_now if it not in says["categories"]}
                case "subscriber.ended", _:
                    open_now = {}
        assert not self.events or self.live.grants == open_now

    @invariant()
    def nothing_happens_after_it_ended(self) -> None:
        assert "subscriber.ended" not in [it.TOPIC for it in self.events][:-1]


MACHINES = [
    CustomerMachine,
    OrganisationMachine,
    LeadMachine,
    TicketMachine,
    MemberMachine,
    ErasureMachine,
    RestrictionMachine,
    HoldMachine,
    ConsentMachine,
    ActivityMachine,
    RetentionMachine,
    WebhookMachine,
    SubscriberMachine,
]

EXAMPLES = 400 if os.environ.get("LETHE_TORTURE") == "1" else 20

for it in MACHINES:
    it.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)

TestCustomer = CustomerMachine.TestCase
TestOrganisation = OrganisationMachine.TestCase
TestLead = LeadMachine.TestCase
TestTicket = TicketMachine.TestCase
TestMember = MemberMachine.TestCase
TestErasure = ErasureMachine.TestCase
TestRestriction = RestrictionMachine.TestCase
TestHold = HoldMachine.TestCase
TestConsent = ConsentMachine.TestCase
TestActivity = ActivityMachine.TestCase
TestRetention = RetentionMachine.TestCase
TestWebhook = WebhookMachine.TestCase
TestSubscriber = SubscriberMachine.TestCase


def arguments_of(method: Any) -> set[str]:
    """The names of what it takes, those of a `TypedDict` behind `**` among them."""
    found: set[str] = set()
    for name, it in inspect.signature(method).parameters.items():
        typed = it.kind is inspect.Parameter.VAR_KEYWORD
        found |= set(get_args(it.annotation)[0].__annotations__) if typed else {name}
    return found - {"self"}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_machine_knows_every_command_and_every_argument(machine: type[Machine]) -> None:
    verbs = {
        name: arguments_of(it)
        for name, it in vars(machine.kind).items()
        if inspect.isfunction(it) and not name.startswith("_") and name != "evolve"
    }
    assert {name: set(it) for name, it in machine.commands.items()} == verbs


@pytest.mark.parametrize(
    ("machines", "facts"),
    [
        ([CustomerMachine, OrganisationMachine], Registration),
        ([LeadMachine], Capture),
        ([TicketMachine], Opening),
        ([MemberMachine], Joining),
    ],
)
def test_the_machines_know_every_fact_a_record_is_made_with(
    machines: list[type[Machine]], facts: type
) -> None:
    known = {fact for machine in machines for fact in machine.facts}
    assert known == {"subject_id", *facts.__annotations__}
