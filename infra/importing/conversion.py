"""From the text in a file to the typed value of a command's field. Rules are named, values never."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import phonenumbers
from pydantic import ValidationError

from domain.values import (
    Channel,
    CountryCode,
    CurrencyCode,
    CustomerKind,
    EmailAddress,
    LawfulBasis,
    Level,
    LossReason,
    Money,
    PhoneNumber,
    SupportLine,
)
from infra.importing.mapping import Value

LINE_CHARACTERS_MAX = 500
TEXT_CHARACTERS_MAX = 100_000
# RFC 5321: what needs no further look is a dot-atom of ASCII, at most 64 long, in an address of at most 254.
PLAIN_LOCAL_PART = re.compile(r"(?=.{1,64}$)[a-z0-9_+-]+(\.[a-z0-9_+-]+)*", re.IGNORECASE | re.ASCII)
ADDRESS_CHARACTERS_MAX = 254


def line(text: str) -> str:
    """A short text. Raises `ValueError` like all of these, naming the rule."""
    return prose(text, LINE_CHARACTERS_MAX)


def prose(text: str, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    """A long text."""
    if len(text) > characters_max:
        raise ValueError(f"longer than {characters_max} characters")
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


@lru_cache(maxsize=4096)
def one_of(words: type[StrEnum], text: str) -> StrEnum:
    """A word of a closed list, in any case."""
    try:
        return words(text.lower())
    except ValueError:
        raise ValueError(f"not one of {', '.join(words)}") from None


def whole(text: str) -> int:
    """A count of something."""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ValueError("not a whole number")
    return int(text)


def tags(text: str) -> tuple[str, ...]:
    """Tags, separated by semicolons."""
    return tuple(sorted({line(it.strip()) for it in text.split(";") if it.strip()}))


def identifier(text: str) -> UUID:
    """An id of ours, written out."""
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("not a UUID") from None


def day(text: str, formats: tuple[str, ...] = ()) -> date:
    """A date, ISO 8601 if no format is given."""
    for form in formats:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007
        except ValueError:
            continue
    try:
        if not formats:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"not a date of the form {' or '.join(formats) or 'YYYY-MM-DD'}")


@lru_cache(maxsize=4096)
def moment(text: str, formats: tuple[str, ...] = (), zone: str = "UTC") -> datetime:
    """A point in time; a date is its first moment, and what names no offset is of the zone."""
    for form in formats or ("",):
        try:
            found = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007
        except ValueError:
            continue
        return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    raise ValueError(f"not a time of the form {' or '.join(formats) or 'ISO 8601'}")


@lru_cache(maxsize=4096)
def money(text: str, currency: str | None) -> Money:
    """An exact amount."""
    if currency is None:
        raise ValueError("an amount without a currency")
    code = CurrencyCode.parse(currency)
    try:
        return Money(amount=Decimal(text), currency=code)
    except InvalidOperation:
        raise ValueError("not a decimal number") from None
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None


def email(text: str) -> EmailAddress:
    """An e-mail address. Domains come again and again, and their check is the dear part: it is remembered."""
    local, _, domain = text.rpartition("@")
    if PLAIN_LOCAL_PART.fullmatch(local) and len(text) <= ADDRESS_CHARACTERS_MAX:
        return EmailAddress(f"{local}@{_domain(domain)}")
    return EmailAddress.parse(text)


@lru_cache(maxsize=16_384)
def _domain(text: str) -> str:
    return EmailAddress.parse(f"a@{text}").removeprefix("a@")


def phone(text: str, region: str | None = None) -> PhoneNumber:
    """A phone number; one without a country code is of the region, where one is given."""
    if region is not None and not text.startswith("+"):
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            raise ValueError("not a phone number") from None
        text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return PhoneNumber.parse(text)


PLAIN: Mapping[str, Callable[[str], Any]] = {
    "email": email,
    "country": lru_cache(maxsize=1024)(CountryCode.parse),
    "currency": lru_cache(maxsize=1024)(CurrencyCode.parse),
    "employees": whole,
    "kind": partial(one_of, CustomerKind),
    "lawful_basis": partial(one_of, LawfulBasis),
    "channel": partial(one_of, Channel),
    "cause": partial(one_of, LossReason),
    "impact": partial(one_of, Level),
    "urgency": partial(one_of, Level),
    "line": partial(one_of, SupportLine),
    "tags": tags,
    "address": prose,
    "description": prose,
    "note": prose,
    "text": prose,
}
DAYS = frozenset({"expected_close_on", "valid_until"})


def convert(field: str, source: Value, text: str, row: Mapping[str, str]) -> Any:
    """The typed value of a field that is not the id of another record."""
    if (plain := PLAIN.get(field)) is not None:
        return plain(text)
    if field == "value":
        return money(text, source.currency.text(row) if source.currency else None)
    if field == "phone":
        return phone(text, source.region)
    if field == "born_on":
        return day(text, source.formats).isoformat()
    if field in DAYS:
        return day(text, source.formats)
    if field.endswith("_id"):
        return identifier(text)
    return line(text)
