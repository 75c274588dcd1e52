"""The rules of a lead."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from domain.lead.aggregate import (
    Lead,
    LeadAlreadyQualified,
    LeadInOtherCurrency,
    LeadIsClosed,
    LeadIsWon,
    LeadKeepsItsCustomer,
    LeadNotQualified,
    LeadWorthLessThanNothing,
)
from domain.lead.events import (
    LeadAssigned,
    LeadCaptured,
    LeadContacted,
    LeadDisqualified,
    LeadLinked,
    LeadLost,
    LeadProposed,
    LeadQualified,
    LeadReopened,
    LeadRevalued,
    LeadWon,
)
from domain.values import Channel, CurrencyCode, LossReason, Money, Stage
from tests.domain.given import ID, SUBJECT, Fact, Given, fact


def euros(amount: int) -> Money:
    return Money(amount=Decimal(amount), currency=CurrencyCode("EUR"))


NINE = euros(900)
TEN = euros(1000)
DOLLARS = Money(amount=Decimal(900), currency=CurrencyCode("USD"))
ANN = UUID(int=7)
BO = UUID(int=8)

new = Given(Lead).given(fact(LeadCaptured, source="web"))
engaged = new.given(fact(LeadContacted))
qualified = engaged.given(fact(LeadQualified, value=NINE))
proposed = qualified.given(fact(LeadProposed, value=NINE))
won = proposed.given(fact(LeadWon, value=NINE))
lost = engaged.given(fact(LeadLost, cause=LossReason.PRICE))
disqualified = engaged.given(fact(LeadDisqualified))

OPEN = [new, engaged, qualified, proposed]
CLOSED = [won, lost, disqualified]


@pytest.mark.parametrize(
    "facts",
    [
        {"source": "web"},
        {
            "source": "import",
            "campaign": "spring",
            "product": "GTX Pro",
            "currency": CurrencyCode("USD"),
            "expected_close_on": date(2026, 5, 1),
            "organisation": "Acme",
            "customer_id": ANN,
            "owner_id": BO,
            "name": "Ada",
            "note": "met at the fair",
        },
    ],
)
def test_a_lead_is_captured_with_what_is_known(facts: Any) -> None:
    made = Given(Lead).when_made(lambda: Lead.capture(id=ID, subject_id=SUBJECT, **facts))
    made.then(fact(LeadCaptured, **facts))


@pytest.mark.parametrize("lead", OPEN)
def test_every_contact_with_an_open_lead_is_recorded(lead: Given[Lead]) -> None:
    lead.when(lambda it: it.contact(channel=Channel.PHONE, note="rang")).then(
        fact(LeadContacted, channel=Channel.PHONE, note="rang")
    )


def test_a_later_contact_does_not_take_a_lead_back() -> None:
    qualified.given(fact(LeadContacted)).when(lambda it: it.propose(value=TEN)).then(
        fact(LeadProposed, value=TEN)
    )


@pytest.mark.parametrize("lead", [new, engaged])
def test_a_new_or_engaged_lead_is_qualified(lead: Given[Lead]) -> None:
    lead.when(lambda it: it.qualify(value=NINE, expected_close_on=date(2026, 5, 1))).then(
        fact(LeadQualified, value=NINE, expected_close_on=date(2026, 5, 1))
    )


@pytest.mark.parametrize("lead", [qualified, proposed])
def test_a_qualified_lead_is_not_qualified_again(lead: Given[Lead]) -> None:
    lead.when(lambda it: it.qualify(value=TEN)).refused(LeadAlreadyQualified)


@pytest.mark.parametrize("lead", [qualified, proposed])
def test_a_qualified_lead_gets_one_offer_after_another(lead: Given[Lead]) -> None:
    lead.when(lambda it: it.propose(value=NINE, valid_until=date(2026, 6, 1))).then(
        fact(LeadProposed, value=NINE, valid_until=date(2026, 6, 1))
    )


@pytest.mark.parametrize("lead", [new, engaged])
def test_a_lead_is_qualified_before_it_is_proposed_or_revalued(lead: Given[Lead]) -> None:
    lead.when(lambda it: it.propose(value=NINE)).refused(LeadNotQualified)
    lead.when(lambda it: it.revalue(value=NINE)).refused(LeadNotQualified)


@pytest.mark.parametrize("lead", [qualified, proposed])
def test_a_lead_is_revalued_only_to_another_value(lead: Given[Lead]) -> None:
    lead.when(lambda it: it.revalue(value=TEN)).then(fact(LeadRevalued, value=TEN))
    lead.when(lambda it: it.revalue(value=NINE)).then()


@pytest.mark.parametrize("lead", [*OPEN, *CLOSED])
def test_a_lead_is_assigned_in_any_stage_only_to_somebody_else(lead: Given[Lead]) -> None:
    assigned = lead.given(fact(LeadAssigned, owner_id=ANN))
    lead.when(lambda it: it.assign(owner_id=ANN)).then(fact(LeadAssigned, owner_id=ANN))
    assigned.when(lambda it: it.assign(owner_id=ANN)).then()
    assigned.when(lambda it: it.assign(owner_id=None)).then(fact(LeadAssigned, owner_id=None))


@pytest.mark.parametrize("lead", [*OPEN, *CLOSED])
def test_a_lead_without_a_customer_is_linked_in_any_stage(lead: Given[Lead]) -> None:
    lead.when(lambda it: it.link(customer_id=ANN)).then(fact(LeadLinked, customer_id=ANN))
    lead.given(fact(LeadLinked, customer_id=ANN)).when(lambda it: it.link(customer_id=ANN)).then()


@pytest.mark.parametrize("lead", [*OPEN, lost, disqualified])
def test_a_lead_that_is_not_won_may_move_to_another_customer(lead: Given[Lead]) -> None:
    lead.given(fact(LeadLinked, customer_id=ANN)).when(lambda it: it.link(customer_id=BO)).then(
        fact(LeadLinked, customer_id=BO)
    )


def test_a_won_lead_keeps_its_customer() -> None:
    won.given(fact(LeadLinked, customer_id=ANN)).when(lambda it: it.link(customer_id=BO)).refused(
        LeadKeepsItsCustomer
    )


@pytest.mark.parametrize("lead", OPEN)
def test_an_open_lead_is_won_lost_or_disqualified_from_any_stage(lead: Given[Lead]) -> None:
    lead.when(lambda it: it.win(value=NINE)).then(fact(LeadWon, value=NINE))
    lead.when(lambda it: it.lose(cause=LossReason.PRICE, note="dear")).then(
        fact(LeadLost, cause=LossReason.PRICE, note="dear")
    )
    lead.when(lambda it: it.disqualify(note="a student")).then(fact(LeadDisqualified, note="a student"))


@pytest.mark.parametrize(
    "lead",
    [
        qualified.given(fact(LeadProposed, value=TEN)),
        qualified.given(fact(LeadRevalued, value=TEN)),
        engaged.given(fact(LeadQualified, value=TEN)),
    ],
    ids=["proposed", "revalued", "qualified"],
)
def test_a_lead_is_worth_what_was_said_last(lead: Given[Lead]) -> None:
    lead.when(lambda it: it.revalue(value=TEN)).then()
    lead.when(lambda it: it.revalue(value=NINE)).then(fact(LeadRevalued, value=NINE))


def test_a_lead_is_won_for_what_was_said_then() -> None:
    sold = qualified.given(fact(LeadWon, value=TEN))
    sold.when(lambda it: it.win(value=TEN)).then()
    sold.when(lambda it: it.win(value=NINE)).refused(LeadIsClosed)


@pytest.mark.parametrize(
    ("lead", "stage"),
    [
        (new, Stage.NEW),
        (engaged, Stage.ENGAGED),
        (qualified, Stage.QUALIFIED),
        (proposed, Stage.PROPOSED),
        (won, Stage.WON),
        (lost, Stage.LOST),
        (disqualified, Stage.DISQUALIFIED),
        (lost.given(fact(LeadReopened)), Stage.ENGAGED),
        (proposed.given(fact(LeadContacted)), Stage.PROPOSED),
        (proposed.given(fact(LeadRevalued, value=TEN)), Stage.PROPOSED),
    ],
)
def test_a_lead_stands_at_the_stage_its_facts_took_it_to(lead: Given[Lead], stage: Stage) -> None:
    assert lead.stands().stage is stage


def test_what_is_already_so_returns_quietly() -> None:
    won.when(lambda it: it.win(value=NINE)).then()
    lost.when(lambda it: it.lose(cause=LossReason.PRICE)).then()
    disqualified.when(lambda it: it.disqualify()).then()
    new.when(lambda it: it.reopen()).then()


@pytest.mark.parametrize("lead", CLOSED)
def test_a_closed_lead_is_reopened_before_it_goes_on(lead: Given[Lead]) -> None:
    lead.when(lambda it: it.contact()).refused(LeadIsClosed)
    lead.when(lambda it: it.qualify(value=NINE)).refused(LeadIsClosed)
    lead.when(lambda it: it.propose(value=NINE)).refused(LeadIsClosed)
    lead.when(lambda it: it.revalue(value=TEN)).refused(LeadIsClosed)
    lead.when(lambda it: it.win(value=TEN)).refused(LeadIsClosed)
    lead.when(lambda it: it.lose(cause=LossReason.TIMING)).refused(LeadIsClosed)
    lead.when(lambda it: it.lose(cause=LossReason.PRICE, note="new")).refused(LeadIsClosed)
    lead.when(lambda it: it.disqualify(note="new")).refused(LeadIsClosed)


@pytest.mark.parametrize("lead", [lost, disqualified])
def test_a_lost_or_disqualified_lead_is_reopened_as_engaged(lead: Given[Lead]) -> None:
    lead.when(lambda it: it.reopen()).then(fact(LeadReopened))
    lead.given(fact(LeadReopened)).when(lambda it: it.propose(value=NINE)).refused(LeadNotQualified)
    lead.given(fact(LeadReopened)).when(lambda it: it.qualify(value=NINE)).then(
        fact(LeadQualified, value=NINE)
    )


def test_a_won_lead_stays_won() -> None:
    won.when(lambda it: it.reopen()).refused(LeadIsWon)


@pytest.mark.parametrize(
    "currency_known", [fact(LeadCaptured, source="web", currency=CurrencyCode("EUR"))], ids=["captured"]
)
def test_a_lead_is_valued_in_the_currency_it_was_captured_with(currency_known: Fact) -> None:
    lead = Given(Lead).given(currency_known)
    lead.when(lambda it: it.qualify(value=DOLLARS)).refused(LeadInOtherCurrency)
    lead.when(lambda it: it.win(value=DOLLARS)).refused(LeadInOtherCurrency)


def test_a_lead_stays_in_the_currency_of_its_first_value() -> None:
    qualified.when(lambda it: it.propose(value=DOLLARS)).refused(LeadInOtherCurrency)
    qualified.when(lambda it: it.revalue(value=DOLLARS)).refused(LeadInOtherCurrency)
    qualified.when(lambda it: it.win(value=DOLLARS)).refused(LeadInOtherCurrency)


def test_a_lead_is_not_worth_less_than_nothing() -> None:
    new.when(lambda it: it.qualify(value=euros(-1))).refused(LeadWorthLessThanNothing)
    new.when(lambda it: it.win(value=euros(-1))).refused(LeadWorthLessThanNothing)
    new.when(lambda it: it.win(value=euros(0))).then(fact(LeadWon, value=euros(0)))
    qualified.when(lambda it: it.propose(value=euros(-1))).refused(LeadWorthLessThanNothing)
    qualified.when(lambda it: it.revalue(value=euros(-1))).refused(LeadWorthLessThanNothing)
