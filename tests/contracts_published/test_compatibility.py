"""Each rule of compatibility, by an event that somebody really changed."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from domain.model import Category, Event
from domain.values import CheckedText, CountryCode, CurrencyCode, LossReason, Stage
from infra.contracts import compatibility as rules
from infra.contracts import shapes
from infra.contracts.compatibility import RULES, Rule, breaches
from infra.contracts.publishing import ROOT
from infra.contracts.schemas import schema_of
from tests.contracts_published.changes import STREAMS, Fields, noted, personal, public, words
from tests.contracts_published.test_publishing import PUBLISHING


class Text(CheckedText):
    """Any text."""


class WithRate(BaseModel):
    """An amount."""

    amount: Decimal
    currency: CurrencyCode
    rate: int


class InCents(BaseModel):
    """An amount."""

    amount: int
    currency: CurrencyCode


class AmountOnly(BaseModel):
    """An amount."""

    amount: Decimal


CHANGES: list[tuple[Rule, Fields]] = [
    (rules.FIELD_REMOVED, {"country": None}),
    (rules.FIELD_REMOVED, {"name": None}),
    (rules.FIELD_REMOVED, {"value": public(AmountOnly)}),
    (rules.FIELD_SEALED, {"country": personal(str)}),
    (rules.FIELD_UNSEALED, {"name": public(str | None, None)}),
    (rules.REQUIRED_ADDED, {"rank": public(int)}),
    (rules.REQUIRED_ADDED, {"value": public(WithRate)}),
    (rules.MADE_REQUIRED, {"seen_on": public(date | None)}),
    (rules.MADE_OPTIONAL, {"country": public(CountryCode, "GB")}),
    (rules.TYPE_CHANGED, {"country": public(int)}),
    (rules.TYPE_CHANGED, {"country": public(CountryCode | None)}),
    (rules.TYPE_CHANGED, {"score": public(int | None, None)}),
    (rules.TYPE_CHANGED, {"seen_on": public(datetime | None, None)}),
    (rules.TYPE_CHANGED, {"tags": public(tuple[int, ...], ())}),
    (rules.TYPE_CHANGED, {"tags": public(dict[str, str], ())}),
    (rules.TYPE_CHANGED, {"value": public(InCents)}),
    (rules.TYPE_CHANGED, {"name": personal(int)}),
    (rules.DEFAULT_CHANGED, {"tags": public(tuple[str, ...], ("new",))}),
    (rules.VALUE_ADDED, {"stage": public(words("Stage", *Stage, "dreamt-of"))}),
    (rules.VALUE_REMOVED, {"stage": public(words("Stage", *list(Stage)[1:]))}),
    (rules.LIST_OPENED, {"stage": public(str)}),
    (rules.LIST_CLOSED, {"cause": public(words("LossReason", "other", "price"), "other")}),
    (rules.PATTERN_CHANGED, {"country": public(CurrencyCode)}),
    (rules.PATTERN_CHANGED, {"country": public(Text)}),
    (rules.CATEGORY_CHANGED, {"name": personal(str, Category.CONTACT)}),
    (rules.SUBJECT_CHANGED, {"name": personal(str, subject="other_id")}),
]


def found(changed: type[Event]) -> set[Rule]:
    """The rules that the change breaks, for who knows the class as it was."""
    return {it.rule for it in breaches(schema_of(noted(), STREAMS), schema_of(changed, STREAMS))}


@pytest.mark.parametrize(("rule", "change"), CHANGES, ids=lambda it: it.name if isinstance(it, Rule) else "")
def test_a_change_breaks_the_rule_against_it_and_no_other(rule: Rule, change: Fields) -> None:
    assert found(noted(change)) == {rule}


@pytest.mark.parametrize(("rule", "change"), CHANGES, ids=lambda it: it.name if isinstance(it, Rule) else "")
def test_a_new_version_lifts_the_rules_that_say_so(rule: Rule, change: Fields) -> None:
    assert found(noted(change, version=2)) == (set() if rule.lifted else {rule})


def test_the_class_of_a_type_keeps_its_name() -> None:
    assert (
        found(noted(name="LeadRemarked"))
        == found(noted(name="LeadRemarked", version=2))
        == {rules.CLASS_RENAMED}
    )


def test_a_type_stays_in_its_topic() -> None:
    moved = schema_of(noted(), {"lead": "sales"})
    assert {it.rule for it in breaches(schema_of(noted(), STREAMS), moved)} == {rules.TOPIC_MOVED}


def test_a_type_stays_with_its_kind_of_record() -> None:
    was = schema_of(noted(), STREAMS)
    assert {it.rule for it in breaches(was, was | {"x-aggregate": "ticket"})} == {rules.AGGREGATE_CHANGED}


class Noted(Event):
    """Its reason is sealed under the record's own key."""

    @property
    def record_subject(self) -> Any:
        return self.originator_id


def test_whose_the_reason_is_stays_as_it_is() -> None:
    was = schema_of(noted(), STREAMS)
    changed: Any = type(
        "LeadNoted", (noted(),), {"__doc__": "As before.", "record_subject": Noted.record_subject}
    )
    assert {it.rule for it in breaches(was, schema_of(changed, STREAMS))} == {rules.SUBJECT_CHANGED}


FREE: list[tuple[Fields, str]] = [
    ({}, "As it was."),
    ({"rank": public(int | None, None)}, "As it was."),
    ({"nickname": personal(str)}, "As it was."),
    ({}, "What it is, in better words."),
]


@pytest.mark.parametrize(("change", "words"), FREE)
def test_what_nobody_needs_may_come_to_a_version(change: Fields, words: str) -> None:
    assert found(noted(change, words=words)) == set()


def test_a_new_word_in_an_open_list_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    was = schema_of(noted({"cause": public(LossReason)}), STREAMS)
    longer = words("LossReason", *LossReason, "weather")
    monkeypatch.setattr(shapes, "OPEN_LISTS", shapes.OPEN_LISTS | {longer})
    now = schema_of(noted({"cause": public(longer)}), STREAMS)
    assert list(breaches(was, now)) == []
    assert now["properties"]["cause"][shapes.OPEN_WORDS] == [*LossReason, "weather"]


def test_a_breach_says_which_version_of_what_breaks_which_rule_where() -> None:
    was, now = schema_of(noted(), STREAMS), schema_of(noted({"country": None}), STREAMS)
    (breach,) = breaches(was, now)
    sentence = "A field stays for good: name a new type of event instead."
    assert str(breach) == f"lead.noted v1: field-removed: {sentence} (country)"


def test_every_rule_is_tried() -> None:
    alone = {rules.CLASS_RENAMED, rules.TOPIC_MOVED, rules.AGGREGATE_CHANGED}
    assert {rule for rule, _ in CHANGES} | alone | PUBLISHING == set(RULES)
    assert len({it.name for it in RULES}) == len(RULES)


def test_the_page_of_the_decision_tells_the_same() -> None:
    page = (ROOT / "docs/decisions/contracts.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line[:1] == "|"]
    told = {rule: (same, new) for names, same, new in rows for rule in re.findall(r"`([a-z-]+)`", names)}
    assert told == {it.name: ("no", "yes" if it.lifted else "no") for it in RULES}
