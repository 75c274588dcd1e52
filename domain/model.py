"""What every aggregate and every event is made of: facts, data subjects, personal fields, time.

Nothing here does I/O, reads a clock or knows cryptography. Personal fields hold clear values only while
a command decides; everything read back from the log holds `Sealed` handles until a reader unseals them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar, cast
from uuid import UUID

from eventsourcing.domain import BaseAggregate, CanInitAggregate, CanMutateAggregate
from eventsourcing.utils import get_topic, register_topic
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")


class Category(StrEnum):
    """What kind of personal data a field holds: each subject has one key for each category."""

    IDENTITY = "identity"
    CONTACT = "contact"
    CONVERSATION = "conversation"
    BEHAVIOUR = "behaviour"
    FINANCIAL = "financial"


class Sealed(Struct, frozen=True, gc=False):
    """A personal value in its box, unread: which box of which event, and the field inside it.

    `box` is the AES-256-GCM ciphertext with its nonce in front. The other fields are the box's
    associated data, so that a handle can be stored in a view and still be opened in its own place.
    """

    # A struct, not a dataclass: made eight times as fast, and pages and batches are full of them.
    subject_id: UUID
    category: Category
    fingerprint: str
    box: str
    field: str
    originator_id: UUID
    originator_version: int
    topic: str
    event_id: UUID

    def __hash__(self) -> int:
        # Of what tells handles apart: the ids would take ten times as long, and pages hold hundreds.
        return hash((self.box, self.field))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(cls)


@dataclass(frozen=True, slots=True)
class Erased:
    """Stands where a personal value was, once the key of its subject and category is destroyed."""

    category: Category


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Marks a personal field: its category, and the field of the event that names its data subject."""

    category: Category
    subject: str = "subject_id"


@dataclass(frozen=True, slots=True)
class DataSubjectId:
    """Marks the field that names a data subject of the event."""


@dataclass(frozen=True, slots=True)
class PublicData:
    """Marks a field that holds nothing about a person."""


DataSubject: TypeAlias = Annotated[UUID, DataSubjectId()]
"""The id of a data subject: a pseudonym, public, whose keys seal the personal fields of the event."""

Public = Annotated[T, PublicData()]
Identity = Annotated[T | Sealed | Erased | None, PersonalData(Category.IDENTITY)]
Contact = Annotated[T | Sealed | Erased | None, PersonalData(Category.CONTACT)]
Conversation = Annotated[T | Sealed | Erased | None, PersonalData(Category.CONVERSATION)]

_moment: ContextVar[datetime] = ContextVar("moment")


@contextmanager
def happening_at(moment: datetime) -> Iterator[None]:
    """Say when the decisions inside the block happened in the business's time (`occurred_at`).

    Deciding outside such a block raises `LookupError`: the domain has no clock of its own.
    """
    token = _moment.set(moment)
    try:
        yield
    finally:
        _moment.reset(token)


class DomainError(Exception):
    """A refusal: the rule that the command would break. `subject` is the id of what refused."""

    def __init__(self, subject: UUID | str, detail: str | None = None) -> None:
        self.subject = subject
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(f"{self.detail} ({subject})")


class Event(BaseModel, CanMutateAggregate[UUID]):
    """A fact about one aggregate. TOPIC is its stored name: never reuse it.

    `timestamp` is when it happened in the business's time. Each further field is `Public`, a
    `DataSubject`, or personal (`Identity`, `Contact`, `Conversation`).
    """

    # Hidden input: the text of a validation error must never repeat a personal value.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    TOPIC: ClassVar[str]
    class_version: ClassVar[int] = 1

    originator_id: UUID
    originator_version: int
    timestamp: datetime

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "TOPIC" in cls.__dict__:
            register_topic(cls.TOPIC, cls)

    @staticmethod
    def create_timestamp() -> datetime:
        return _moment.get()

    def apply(self, aggregate: Any) -> None:
        aggregate.evolve(self)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        # What is personal stays out of every log line, traceback and failure report.
        for name, value in super().__repr_args__():
            info = type(self).model_fields[name or ""]
            if not any(isinstance(it, PersonalData) for it in info.metadata):
                yield name, value

    @property
    def record_subject(self) -> UUID:
        """The subject whose key seals what is written about the event itself, such as its reason."""
        subject: UUID = getattr(self, "subject_id")  # noqa: B009
        return subject


class Created(Event, CanInitAggregate[UUID]):
    """The first fact of an aggregate."""

    originator_topic: str


class Recurring(Created):
    """A first fact that may come again, when its opposite came between: a consent is given, withdrawn, given.

    So a subscriber needs to know one type, however often it happens.
    """

    def mutate(self, aggregate: Any) -> Any:
        if aggregate is None:
            return super().mutate(None)
        return CanMutateAggregate.mutate(self, aggregate)


class Aggregate(BaseAggregate[UUID]):
    """A consistency boundary: its methods decide, `evolve` remembers what later decisions need.

    `subject_id` is the data subject of the record; it goes into every event that has such a field.
    """

    def __init__(self) -> None:
        # Said here, not in the class body: there the library would make it an argument of every creation.
        self.subject_id: UUID

    def trigger_event(self, event_class: type[CanMutateAggregate[UUID]], **kwargs: Any) -> None:
        if "subject_id" in cast("type[Event]", event_class).model_fields:
            kwargs["subject_id"] = self.subject_id
        if issubclass(event_class, Recurring):
            kwargs["originator_topic"] = get_topic(type(self))
        super().trigger_event(event_class, **kwargs)

    def evolve(self, event: Event) -> None:
        """Assign what the event says. Never refuses, never looks at a clock, never calls out."""
        raise NotImplementedError
