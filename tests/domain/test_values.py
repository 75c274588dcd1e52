"""Values hold to their rules, in one form each, and never repeat what they refuse."""

import json
import random
from decimal import Decimal
from typing import Any

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from domain.values import (
    DECIMALS,
    STORED,
    CheckedText,
    CountryCode,
    CurrencyCode,
    EmailAddress,
    Money,
    PhoneNumber,
)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (EmailAddress, "Ada@EXAMPLE.com", "Ada@example.com"),
        (EmailAddress, "jürgen@example.com", "jürgen@example.com"),
        (PhoneNumber, "+44 (0)20 7946 0000", "+442079460000"),
        (PhoneNumber, "+1 212-555-0100", "+12125550100"),
        (CountryCode, "gb", "GB"),
        (CurrencyCode, "eur", "EUR"),
    ],
)
def test_a_text_value_takes_its_canonical_form(kind: type[CheckedText], text: str, value: str) -> None:
    parsed = TypeAdapter(kind).validate_python(text)
    assert parsed == value
    assert type(parsed) is kind
    assert kind.parse(parsed) is parsed
    assert TypeAdapter(kind).validate_python(parsed) is parsed
    assert TypeAdapter(kind).validate_json(json.dumps(text)) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (EmailAddress, "ada at example.com"),
        (EmailAddress, "ada@localhost"),
        (EmailAddress, "Ada <ada@example.com>"),
        (PhoneNumber, "020 7946 0000"),
        (PhoneNumber, "+44 1"),
        (PhoneNumber, "ring me"),
        (CountryCode, "UK"),
        (CountryCode, "GBR"),
        (CurrencyCode, "EURO"),
        (CurrencyCode, "XXY"),
    ],
)
def test_a_text_that_breaks_the_rule_is_refused_without_being_repeated(
    kind: type[CheckedText], text: str
) -> None:
    with pytest.raises(ValueError, match="^not an? ") as refusal:
        kind.parse(text)
    assert text not in str(refusal.value)
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(text)
    assert [it["loc"] for it in refused.value.errors()] == [()]


def test_a_stored_text_is_not_held_to_younger_rules() -> None:
    """The Croatian kuna was withdrawn: what was sold in it was sold in it."""
    sold = TypeAdapter(CurrencyCode).validate_python("HRK", context=STORED)
    assert (type(sold), sold) == (CurrencyCode, "HRK")
    assert Money.model_validate({"amount": "1.234", "currency": "HRK"}, context=STORED).amount == Decimal(
        "1.234"
    )


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("12.5", "EUR", "12.50"),
        ("12.5000", "EUR", "12.50"),
        (Decimal("1E+2"), "EUR", "100.00"),
        (7, "JPY", "7"),
        ("7.00", "JPY", "7"),
        ("0.125", "KWD", "0.125"),
        ("1.2345", "CLF", "1.2345"),
        ("1.5", "XAU", "1.5"),
        (Decimal("1E+2"), "XAU", "100"),
        ("99999999999999.99", "USD", "99999999999999.99"),
        ("-3", "USD", "-3.00"),
    ],
)
def test_money_is_written_with_the_decimals_of_its_currency(amount: Any, currency: str, written: str) -> None:
    money = Money(amount=amount, currency=CurrencyCode(currency))
    assert money.model_dump(mode="json") == {"amount": written, "currency": currency}


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("12.505", "EUR"),
        ("0.5", "JPY"),
        ("1.23456", "XAU"),
        ("100000000000000", "EUR"),
        (12.5, "EUR"),
        (True, "EUR"),
        ("1e3", "EUR"),
        ("1_000", "EUR"),
        (" 12", "EUR"),
        ("12\n", "EUR"),
        ("١٢", "EUR"),
        ("NaN", "EUR"),
        (Decimal("NaN"), "EUR"),
        (Decimal("Infinity"), "EUR"),
        ("12", "EURO"),
    ],
)
def test_what_is_not_an_exact_amount_is_refused(amount: Any, currency: str) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount": amount, "currency": currency})


@given(
    st.decimals(min_value="-99999999999999", max_value="99999999999999", places=4),
    st.sampled_from(sorted(DECIMALS)),
)
def test_what_money_writes_it_reads_as_the_same(amount: Decimal, currency: str) -> None:
    try:
        money = Money(amount=amount, currency=CurrencyCode(currency))
    except ValidationError:
        decimals = DECIMALS[currency]
        assert decimals is not None
        assert amount != round(amount, decimals)
        return
    assert money.amount == amount
    again = Money.model_validate_json(money.model_dump_json())
    assert again.amount.as_tuple() == money.amount.as_tuple()
    assert Money.model_validate(money.model_dump(mode="json"), context=STORED) == money


def test_a_number_that_is_canonical_already_is_what_the_library_makes_of_it() -> None:
    chance = random.Random(4)
    for country in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        for _ in range(40):
            text = f"+{country}{chance.randrange(10 ** chance.randrange(3, 12))}"
            try:
                number = phonenumbers.parse(text, None)
                made = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
                expected = made if phonenumbers.is_possible_number(number) else None
            except phonenumbers.NumberParseException:
                expected = None
            try:
                assert PhoneNumber.parse(text) == expected
            except ValueError:
                assert expected is None, text
