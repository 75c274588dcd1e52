"""The values events are made of: money, contact details, codes and the words of the business.

Text values are `str` subclasses that validate once: a value that is already of its type passes unread.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self, cast

import iso4217
import phonenumbers
import pycountry
from email_validator import EmailNotValidError, validate_email
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

STORED = {"stored": True}
"""The validation context of what is read from the log: it passed the rules of its day, and is not held to
younger ones. A currency withdrawn since is still what was said."""

Description = Mapping[str, Any]
"""What a JSON Schema says of a text beyond that it is a string."""


class CheckedText(str):
    """Text that holds to a rule: `check` returns its canonical form, or raises `ValueError`."""

    __slots__ = ()
    described_as: ClassVar[Description] = MappingProxyType({})

    @classmethod
    def check(cls, text: str) -> str:
        raise NotImplementedError

    @classmethod
    def parse(cls, text: str) -> Self:
        """The canonical value; `ValueError` says the rule that `text` breaks, never the text."""
        return text if isinstance(text, cls) else cls(cls.check(text))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def checked(text: Any, as_text: ValidatorFunctionWrapHandler, info: ValidationInfo) -> CheckedText:
            if isinstance(text, cls):
                return text
            if info.context is STORED:
                return cls(as_text(text))
            return cls.parse(as_text(text))

        return core_schema.with_info_wrap_validator_function(checked, core_schema.str_schema())

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), **cls.described_as}


class EmailAddress(CheckedText):
    """An address of RFC 5321 / 6531, its domain in lower case. Deliverability is not asked."""

    __slots__ = ()
    described_as: ClassVar[Description] = MappingProxyType(
        {"format": "email", "examples": ["ada@example.com"]}
    )

    @classmethod
    def check(cls, text: str) -> str:
        try:
            return validate_email(text, check_deliverability=False).normalized
        except EmailNotValidError as error:
            raise ValueError("not an e-mail address") from error


class PhoneNumber(CheckedText):
    """A number in ITU-T E.164 form, such as +442079460000; input needs its country code."""

    __slots__ = ()
    described_as: ClassVar[Description] = MappingProxyType({"examples": ["+442079460000"]})

    @classmethod
    def check(cls, text: str) -> str:
        if _is_canonical(text):
            return text
        try:
            number = phonenumbers.parse(text, None)
        except phonenumbers.NumberParseException as error:
            raise ValueError("not a phone number with its country code") from error
        if not phonenumbers.is_possible_number(number):
            raise ValueError("not a possible phone number of its country")
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


PLAIN_NUMBER = re.compile(r"\+([1-9][0-9]{6,14})", re.ASCII)
COUNTRY_DIGITS_MAX = 3


def _is_canonical(text: str) -> bool:
    """Whether parsing would change nothing, as with most numbers that machines have written.

    So it is where nothing in front can be a national prefix, and the length is one of the country's.
    """
    if (plain := PLAIN_NUMBER.fullmatch(text)) is None:
        return False
    digits = plain[1]
    for end in range(1, COUNTRY_DIGITS_MAX + 1):
        if int(digits[:end]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            prefix, lengths = _numbering(int(digits[:end]))
            national = digits[end:]
            return len(national) in lengths and national[0] != "0" and not (prefix and prefix.match(national))
    return False


@lru_cache(maxsize=512)
def _numbering(country: int) -> tuple[re.Pattern[str] | None, frozenset[int]]:
    """The national prefixes of a calling code, and how long its numbers may be."""
    region = phonenumbers.region_code_for_country_code(country)
    metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(country, region)
    prefix, described = metadata.national_prefix_for_parsing, metadata.general_desc
    lengths = (*described.possible_length, *described.possible_length_local_only)
    return re.compile(prefix) if prefix else None, frozenset(lengths)


class CountryCode(CheckedText):
    """An ISO 3166-1 alpha-2 code, in capitals."""

    __slots__ = ()
    described_as: ClassVar[Description] = MappingProxyType({"pattern": "^[A-Za-z]{2}$", "examples": ["GB"]})

    @classmethod
    def check(cls, text: str) -> str:
        code = text.upper()
        if len(code) != 2 or pycountry.countries.get(alpha_2=code) is None:
            raise ValueError("not an ISO 3166-1 alpha-2 country code")
        return code


DECIMALS: Mapping[str, int | None] = {it.code: it.exponent for it in iso4217.Currency}
"""The decimals of each ISO 4217 currency; None where there is no smaller unit to speak of, as with gold."""


class CurrencyCode(CheckedText):
    """An ISO 4217 alphabetic code, in capitals."""

    __slots__ = ()
    described_as: ClassVar[Description] = MappingProxyType({"pattern": "^[A-Za-z]{3}$", "examples": ["EUR"]})

    @classmethod
    def check(cls, text: str) -> str:
        code = text.upper()
        if code not in DECIMALS:
            raise ValueError("not an ISO 4217 currency code")
        return code


AMOUNT = r"-?[0-9]{1,14}(\.[0-9]{1,4})?"


def _exact(amount: Any) -> Any:
    if isinstance(amount, float | bool) or (isinstance(amount, str) and not re.fullmatch(AMOUNT, amount)):
        raise ValueError("not a decimal number such as 12.50, written as text")
    return amount


class Money(BaseModel):
    """An exact amount of one currency, with its decimals: never a float, nor finer than the currency is.

    At most 14 digits before the point; at most 4 after it where ISO 4217 knows no decimals.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Annotated[
        Decimal,
        Field(max_digits=18, decimal_places=4, allow_inf_nan=False),
        BeforeValidator(_exact),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string", "pattern": f"^{AMOUNT}$"}, {"type": "integer"}],
                "examples": ["12.50"],
            }
        ),
    ]
    currency: CurrencyCode

    @model_validator(mode="wrap")
    @classmethod
    def _as_stored(cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """What is read from the log is mostly an amount of a currency that was read before."""
        if info.context is STORED and type(value) is dict:
            money = _stored_money(value.get("amount"), value.get("currency"))
            if money is not None and cls is Money:
                return cast("Self", money)
        return handler(value)

    @model_validator(mode="after")
    def _in_decimals_of_currency(self, info: ValidationInfo) -> Self:
        if info.context is STORED:
            return self
        decimals = DECIMALS[self.currency]
        # One form for one value, so that stored facts compare as they are written.
        written = max(0, -int(self.amount.as_tuple().exponent))
        exact = self.amount.quantize(Decimal(1).scaleb(-(written if decimals is None else decimals)))
        if exact != self.amount:
            raise ValueError(f"{self.currency} has {decimals} decimals")
        object.__setattr__(self, "amount", exact)
        return self


@lru_cache(maxsize=16_384)
def _stored_money(amount: Any, currency: Any) -> Money | None:
    """None where it is not in the form in which money is written."""
    if isinstance(amount, str) and isinstance(currency, str) and re.fullmatch(AMOUNT, amount):
        return Money.model_construct(amount=Decimal(amount), currency=CurrencyCode(currency))
    return None


class CustomerKind(StrEnum):
    """A customer is a person, or an organisation with contact persons."""

    PERSON = "person"
    ORGANISATION = "organisation"


class LawfulBasis(StrEnum):
    """Why personal data may be held: GDPR, article 6(1), points (a) to (f)."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTERESTS = "legitimate_interests"


class ErasureGround(StrEnum):
    """Why a person is erased: GDPR, article 17(1), points (a) to (f); or the time is up, article 5(1)(e)."""

    NO_LONGER_NECESSARY = "no_longer_necessary"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    OBJECTION = "objection"
    UNLAWFUL_PROCESSING = "unlawful_processing"
    LEGAL_OBLIGATION = "legal_obligation"
    CHILD_INFORMATION_SOCIETY_SERVICE = "child_information_society_service"
    STORAGE_LIMITATION = "storage_limitation"


class Stage(StrEnum):
    """How far a lead has come."""

    NEW = "new"
    ENGAGED = "engaged"
    QUALIFIED = "qualified"
    PROPOSED = "proposed"
    WON = "won"
    LOST = "lost"
    DISQUALIFIED = "disqualified"


class LossReason(StrEnum):
    """Why a sale was lost."""

    PRICE = "price"
    COMPETITOR = "competitor"
    NO_BUDGET = "no_budget"
    NO_DECISION = "no_decision"
    TIMING = "timing"
    NOT_STATED = "not_stated"
    OTHER = "other"


class Channel(StrEnum):
    """How a customer reached us, or we them."""

    EMAIL = "email"
    PHONE = "phone"
    CHAT = "chat"
    WEB = "web"
    IN_PERSON = "in_person"
    OTHER = "other"


class Level(StrEnum):
    """How far a fault reaches (impact), or how long it can wait (urgency)."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Priority(StrEnum):
    """What is done first; from impact and urgency (the matrix of ITIL 4, incident management)."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class TicketStatus(StrEnum):
    """Where a ticket stands."""

    OPEN = "open"
    WAITING = "waiting"
    RESOLVED = "resolved"
    CLOSED = "closed"


class SupportLine(StrEnum):
    """First, second or third line of support."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"


class RestrictionCause(StrEnum):
    """Why the processing of a person's data is restricted: GDPR, article 18(1), points (a) to (d)."""

    ACCURACY_CONTESTED = "accuracy_contested"
    UNLAWFUL = "unlawful"
    LEGAL_CLAIMS = "legal_claims"
    OBJECTION_PENDING = "objection_pending"


class ProcessingRole(StrEnum):
    """Who we are in a processing activity: GDPR, article 4(7) and (8), and article 26."""

    CONTROLLER = "controller"
    JOINT_CONTROLLER = "joint_controller"
    PROCESSOR = "processor"


class SubjectKind(StrEnum):
    """Whose data a processing activity is about."""

    CUSTOMERS = "customers"
    CONTACTS = "contacts"
    LEADS = "leads"
    MEMBERS = "members"


class ExportFormat(StrEnum):
    """What an export is written as: JSON Lines, comma-separated values, or a report to read and print.

    A dossier, which is whole or nothing, is one JSON document, or a report.
    """

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    HTML = "html"
