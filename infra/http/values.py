"""The forms of values in JSON: what a client may send, and how the OpenAPI document describes it."""

import re
from datetime import date, datetime
from typing import Annotated, Any, Final, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from domain.values import CountryCode, CurrencyCode, EmailAddress, Money, PhoneNumber

# NUL cannot be stored in a text column; other control characters have no place in one line.
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def one_line(text: str) -> str:
    if CONTROL.search(text) or not text.strip():
        raise PydanticCustomError("one_line", "Input should be text on one line, without control characters")
    return text


def lines(text: str) -> str:
    if "\0" in text or not text.strip():
        raise PydanticCustomError("text", "Input should be text without NUL characters")
    return text


def _pattern(pattern: str) -> Any:
    return Field(json_schema_extra={"pattern": pattern})


Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(one_line),
    _pattern(r"^[^\u0000-\u001f\u007f]*[^\u0000-\u0020\u007f][^\u0000-\u001f\u007f]*$"),
]
"""A name or a code, on one line."""
FreeText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=20_000),
    AfterValidator(lines),
    _pattern(r"^[^\u0000]*[^\u0000-\u0020][^\u0000]*$"),
]
"""Text in lines: personal by default, so always sealed."""
Tags = Annotated[list[Line], Field(max_length=50)]


def schema(of: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **of}, mode="validation")


Email = Annotated[
    EmailAddress,
    Field(max_length=254),
    schema({"format": "email", "maxLength": 254, "examples": ["maya.brandt@example.com"]}),
]
Phone = Annotated[
    PhoneNumber,
    Field(max_length=40),
    schema({"format": "phone", "maxLength": 40, "examples": ["+44 20 7946 0000"]}),
]
Country = Annotated[
    CountryCode,
    schema({"format": "country", "description": "ISO 3166-1 alpha-2.", "examples": ["DE"]}),
]
Currency = Annotated[
    CurrencyCode,
    schema({"format": "currency", "description": "ISO 4217.", "examples": ["EUR"]}),
]


def _a_date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise PydanticCustomError("date_parsing", "Input should be a date, YYYY-MM-DD") from None


BornOn = Annotated[str, AfterValidator(_a_date), schema({"format": "date", "examples": ["1984-05-17"]})]
"""A date that is personal: text, as everything sealed is."""


def _exact(value: Any) -> Any:
    if isinstance(value, dict) and not isinstance(value.get("amount", ""), str):
        raise ValueError('amount is a decimal number in a string, such as "12.50"')
    return value


AMOUNT: Final = r"^-?[0-9]{1,14}(\.[0-9]{1,4})?$"
MONEY_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["amount", "currency"],
    "additionalProperties": False,
    "properties": {
        "amount": {"type": "string", "pattern": AMOUNT, "description": "Exact, decimal."},
        "currency": {"type": "string", "format": "currency", "description": "ISO 4217."},
    },
    "examples": [{"amount": "12.50", "currency": "EUR"}],
}
MoneyIn = Annotated[Money, BeforeValidator(_exact), WithJsonSchema(MONEY_SCHEMA)]
MONEY_OUT_SCHEMA: Final[dict[str, Any]] = MONEY_SCHEMA | {
    "properties": {
        "amount": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "description": "Exact, decimal."},
        "currency": {"type": "string", "description": "ISO 4217."},
    },
}
MoneyOut: TypeAlias = Annotated[Money, WithJsonSchema(MONEY_OUT_SCHEMA)]
Count = Annotated[StrictInt, Field(ge=0, le=2_000_000_000)]


def _utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


Moment = Annotated[
    AwareDatetime,
    PlainSerializer(_utc, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""A time, RFC 3339 in UTC."""
