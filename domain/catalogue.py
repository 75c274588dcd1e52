"""Every event class by its stored name, and how the fields of each are declared. Checked when imported."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, ModuleType

import domain.activity.events
import domain.backup.events
import domain.consent.events
import domain.customer.events
import domain.erasure.events
import domain.export.events
import domain.hold.events
import domain.lead.events
import domain.member.events
import domain.privacyrequest.events
import domain.restriction.events
import domain.retention.events
import domain.subscriber.events
import domain.ticket.events
import domain.webhook.events
from domain.model import Created, DataSubjectId, Event, PersonalData, PublicData


class UndeclaredField(TypeError):
    """A field of an event says not clearly whether it is public, a data subject, or personal (and whose)."""


class UnnamedEvent(TypeError):
    """An event class without a TOPIC of its own could be written, but never read again."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the fields of an event class are declared, in the order of the class; base fields left out."""

    aggregate: str
    """The TOPIC of the aggregate: the `originator_topic` of its first event."""
    public: tuple[str, ...]
    subjects: tuple[str, ...]
    """The fields that name data subjects: public too, being pseudonyms."""
    personal: Mapping[str, PersonalData]
    """Each personal field with its category, and the field that names whose it is."""


BASE_FIELDS = frozenset(Created.model_fields)


def events_in(module: ModuleType) -> Iterator[type[Event]]:
    """The event classes that the module defines, in its order. Raises `UnnamedEvent`."""
    for it in vars(module).values():
        if not (isinstance(it, type) and issubclass(it, Event) and it.__module__ == module.__name__):
            continue
        if "TOPIC" in it.__dict__:
            yield it
        elif not it.__subclasses__():
            raise UnnamedEvent(it.__qualname__)


AGGREGATES: Mapping[str, tuple[type[Event], ...]] = MappingProxyType(
    {
        "customer": tuple(events_in(domain.customer.events)),
        "lead": tuple(events_in(domain.lead.events)),
        "ticket": tuple(events_in(domain.ticket.events)),
        "member": tuple(events_in(domain.member.events)),
        "erasure": tuple(events_in(domain.erasure.events)),
        "backup": tuple(events_in(domain.backup.events)),
        "export": tuple(events_in(domain.export.events)),
        "privacyrequest": tuple(events_in(domain.privacyrequest.events)),
        "restriction": tuple(events_in(domain.restriction.events)),
        "hold": tuple(events_in(domain.hold.events)),
        "consent": tuple(events_in(domain.consent.events)),
        "activity": tuple(events_in(domain.activity.events)),
        "retention": tuple(events_in(domain.retention.events)),
        "subscriber": tuple(events_in(domain.subscriber.events)),
        "webhook": tuple(events_in(domain.webhook.events)),
    }
)
"""The events of each aggregate, by the aggregate's TOPIC; the first event of each creates it."""

EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {event.TOPIC: event for events in AGGREGATES.values() for event in events}
)
"""Every event class, by its TOPIC."""

_AGGREGATE_OF = {event: name for name, events in AGGREGATES.items() for event in events}


@cache
def layout(event_class: type[Event]) -> Layout:
    """How the fields of the event class are declared. Raises `UndeclaredField`."""
    public: list[str] = []
    subjects: list[str] = []
    personal: dict[str, PersonalData] = {}
    for name, info in event_class.model_fields.items():
        if name in BASE_FIELDS:
            continue
        match [it for it in info.metadata if isinstance(it, PublicData | DataSubjectId | PersonalData)]:
            case [PublicData()]:
                public.append(name)
            case [DataSubjectId()]:
                subjects.append(name)
            case [PersonalData() as declared]:
                personal[name] = declared
            case _:
                raise UndeclaredField(f"{event_class.__qualname__}.{name}")
    for name, declared in personal.items():
        if declared.subject not in subjects:
            raise UndeclaredField(f"{event_class.__qualname__}.{name}: no data subject {declared.subject!r}")
    return Layout(
        _AGGREGATE_OF.get(event_class, ""), tuple(public), tuple(subjects), MappingProxyType(personal)
    )


def check(events: Iterable[type[Event]] = tuple(EVENTS.values())) -> None:
    """Raise `UndeclaredField` if any field of any event is not clearly declared: it stops the start."""
    for event_class in events:
        layout(event_class)


check()
