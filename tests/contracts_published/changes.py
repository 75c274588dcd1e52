"""An event class, and what somebody may come to make of it."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import create_model

from domain.model import Category, DataSubject, Erased, Event, PersonalData, Public, Sealed
from domain.values import CountryCode, LossReason, Money, Stage

STREAMS = {"lead": "leads", "ticket": "tickets"}
Fields = dict[str, Any]
LISTS: Any = StrEnum


def public(kind: Any, default: Any = ...) -> tuple[Any, Any]:
    """A public field; without a default it has to be there."""
    declared: Any = Public
    return declared[kind], default


def personal(
    kind: Any, category: Category = Category.IDENTITY, subject: str = "subject_id"
) -> tuple[Any, Any]:
    """A personal field."""
    return Annotated[kind | Sealed | Erased | None, PersonalData(category, subject)], None


FIELDS: Fields = {
    "subject_id": (DataSubject, ...),
    "other_id": (DataSubject, ...),
    "stage": public(Stage),
    "cause": public(LossReason, LossReason.OTHER),
    "value": public(Money),
    "score": public(Decimal | None, None),
    "seen_on": public(date | None, None),
    "tags": public(tuple[str, ...], ()),
    "country": public(CountryCode),
    "name": personal(str),
}


def upcast(fields: dict[str, Any]) -> None:
    """From any version to the next: nothing to do."""


def noted(
    changed: Fields | None = None,
    *,
    name: str = "LeadNoted",
    version: int = 1,
    topic: str = "lead.noted",
    upcasters: bool = True,
    words: str = "Somebody noted something.",
) -> type[Event]:
    """The event's class, fields replaced, added, or taken away where None stands for one."""
    fields = {field: it for field, it in (FIELDS | (changed or {})).items() if it is not None}
    made: Any = create_model(name, __base__=Event, __doc__=words, **fields)
    # After the class is made: within, the name would be taken for good.
    made.TOPIC, made.class_version = topic, version
    for older in range(1, version) if upcasters else ():
        setattr(made, f"upcast_v{older}_v{older + 1}", staticmethod(upcast))
    event_class: type[Event] = made
    return event_class


def words(name: str, *of: str) -> type[StrEnum]:
    """A list of words by the name of another."""
    made: Any = LISTS(name, {it.upper(): it for it in of})
    made.__doc__ = "Words."
    kind: type[StrEnum] = made
    return kind
