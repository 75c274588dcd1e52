"""The stored form of events: what survives, what is left out, and what is refused."""

import os
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import MapperDeserialisationError, Notification, StoredEvent
from msgspec.structs import replace

from domain.catalogue import EVENTS, layout
from domain.customer.events import ContactAdded, CustomerRegistered
from domain.erasure.events import ErasureRequested
from domain.lead.events import LeadQualified
from domain.model import Category, Erased, Sealed
from domain.values import ErasureGround, Money
from infra import json
from infra.eventstore.mapper import EventMapper, UnknownEvent
from infra.eventstore.sealing import Place, open_box
from services.ports import DataKey, Envelope, KeyName, Recorded, SubjectIsErased, Unavailable
from tests.domain.test_golden import NAMES, golden, read, split
from tests.eventlogs import NAMESPACE, START, Person

MAPPER = EventMapper(NAMESPACE)


def recorded(event: Any, **given: Any) -> Recorded:
    usual: dict[str, Any] = {
        "event_id": uuid4(),
        "recorded_at": datetime(2026, 3, 2, tzinfo=UTC),
        "actor": str(UUID(int=7)),
        "correlation_id": uuid4(),
        "causation_id": None,
        "command_id": uuid4(),
    }
    return Recorded(event, Envelope(**usual | given))


def keys_for(it: Recorded) -> dict[KeyName, DataKey | Erased]:
    return {name: DataKey(os.urandom(32).hex(), os.urandom(32)) for name in MAPPER.needs(it)}


def stored(it: Recorded, **changed: Any) -> StoredEvent:
    """The stored form, some of its top-level entries changed by hand."""
    state = json.decode(MAPPER.to_stored_event(it, keys_for(it)).state)
    return StoredEvent(it.originator_id, it.originator_version, it.event.TOPIC, json.encode(state | changed))


def qualified(currency: str = "EUR") -> LeadQualified:
    return LeadQualified(
        originator_id=uuid4(),
        originator_version=2,
        timestamp=START,
        subject_id=uuid4(),
        value=Money.model_validate({"amount": "1234.50", "currency": currency}),
    )


def test_public_values_come_back_exactly() -> None:
    it = recorded(qualified())
    again = MAPPER.to_domain_event(MAPPER.to_stored_event(it))
    assert again == it
    assert json.decode(MAPPER.to_stored_event(it).state)["data"]["value"] == {
        "amount": "1234.50",
        "currency": "EUR",
    }


def test_there_is_one_box_for_each_subject_and_category_and_it_opens_in_its_place() -> None:
    ada, contact_id = Person(), uuid4()
    it = recorded(
        ContactAdded(
            originator_id=ada.id,
            originator_version=2,
            timestamp=START,
            subject_id=ada.subject_id,
            contact_id=contact_id,
            name="Charles",
            role="Engineer",
            email="charles@example.org",
        ),
        reason="met at a dinner",
    )
    keys = keys_for(it)
    assert set(keys) == {
        (contact_id, Category.IDENTITY),
        (contact_id, Category.CONTACT),
        (ada.subject_id, Category.CONVERSATION),
    }
    again = MAPPER.to_domain_event(MAPPER.to_stored_event(it, keys))
    event = again.event
    assert isinstance(event, ContactAdded)
    handles = [event.name, event.role, event.email, again.envelope.reason]
    assert event.phone is None
    clear = {}
    for handle in handles:
        assert isinstance(handle, Sealed)
        key = keys[handle.subject_id, handle.category]
        assert isinstance(key, DataKey)
        assert handle.fingerprint == key.fingerprint
        place = Place(
            NAMESPACE,
            handle.originator_id,
            handle.originator_version,
            handle.topic,
            handle.event_id,
            handle.subject_id,
            handle.category,
        )
        clear[handle.field] = open_box(handle.box, key, place)[handle.field]
    assert clear == {
        "name": "Charles",
        "role": "Engineer",
        "email": "charles@example.org",
        "reason": "met at a dinner",
    }


def test_an_erasures_reason_is_sealed_under_the_request_not_the_person() -> None:
    event = ErasureRequested(
        originator_id=uuid4(),
        originator_version=1,
        timestamp=START,
        originator_topic="erasure",
        erased_subject_id=uuid4(),
        ground=ErasureGround.CONSENT_WITHDRAWN,
    )
    boxes = MAPPER.needs(recorded(event, reason="by letter"))
    assert boxes.keys() == {(event.originator_id, Category.CONVERSATION)}


def test_nothing_is_sealed_under_an_erased_key() -> None:
    ada = Person()
    it = recorded(ada.registered())
    erased: dict[KeyName, DataKey | Erased] = {name: Erased(name[1]) for name in MAPPER.needs(it)}
    with pytest.raises(SubjectIsErased):
        MAPPER.to_stored_event(it, erased)


def test_a_value_read_from_the_log_is_not_sealed_again() -> None:
    it = recorded(Person().registered())
    again = MAPPER.to_domain_event(MAPPER.to_stored_event(it, keys_for(it)))
    with pytest.raises(TypeError, match=r"customer\.registered: name is not a clear value"):
        MAPPER.needs(again)


def test_a_notification_brings_its_position() -> None:
    it = recorded(qualified())
    form = MAPPER.to_stored_event(it)
    notification = Notification(form.originator_id, form.originator_version, form.topic, form.state, 17)
    assert MAPPER.to_domain_event(notification).position == 17


def test_unknown_fields_are_left_out() -> None:
    it = recorded(qualified())
    data = json.decode(MAPPER.to_stored_event(it).state)["data"] | {"from_a_later_release": 1}
    assert MAPPER.to_domain_event(stored(it, data=data, signature="later")) == it


def test_a_code_withdrawn_since_is_still_read() -> None:
    it = recorded(qualified())
    data = json.decode(MAPPER.to_stored_event(it).state)["data"]
    data["value"]["currency"] = "DEM"
    event = MAPPER.to_domain_event(stored(it, data=data)).event
    assert isinstance(event, LeadQualified)
    assert event.value.currency == "DEM"


@pytest.mark.parametrize("later", ["topic", "version"])
def test_a_later_releases_event_is_read_as_unknown_and_never_decided_on(later: str) -> None:
    ada = Person()
    form = stored(recorded(ada.registered()), **({"version": 2} if later == "version" else {}))
    if later == "topic":
        form = StoredEvent(form.originator_id, form.originator_version, "customer.cloned", form.state)
    event = MAPPER.to_domain_event(form).event
    assert isinstance(event, UnknownEvent)
    assert (event.TOPIC, event.originator_id, event.originator_version) == (form.topic, ada.id, 1)
    assert event.record_subject == ada.subject_id
    assert event.data["source"] == "web"
    assert set(event.handles) == {"name", "email"}
    assert "customer.cloned" not in EVENTS
    with pytest.raises(Unavailable, match="a later release wrote"):
        MAPPER.to_decide_on([form])


class _Second(CustomerRegistered):
    """What a second version of the event would look like."""

    class_version = 2

    @staticmethod
    def upcast_v1_v2(fields: dict[str, Any]) -> None:
        fields["purpose"] = f"{fields['purpose']}, as far as was known"


def test_an_older_version_is_upcast(monkeypatch: pytest.MonkeyPatch) -> None:
    form = stored(recorded(Person().registered()))
    monkeypatch.setattr("infra.eventstore.mapper.EVENTS", {**EVENTS, "customer.registered": _Second})
    event = MAPPER.to_domain_event(form).event
    assert isinstance(event, _Second)
    assert event.purpose == "support, as far as was known"
    assert isinstance(event.name, Sealed)


@pytest.mark.parametrize(
    "broken", [b"", b"{}", b"[]", b"{", b'{"id": "not an id", "version": 1, "data": {}, "sealed": []}']
)
def test_what_is_not_in_the_stored_form_is_refused_without_quoting_it(broken: bytes) -> None:
    with pytest.raises(MapperDeserialisationError, match="is not in the stored form"):
        MAPPER.to_domain_event(StoredEvent(uuid4(), 1, "lead.qualified", broken))


@pytest.mark.parametrize("name", NAMES)
def test_every_published_event_comes_back_as_it_was_stored(name: str) -> None:
    event_class, version = split(name)
    it = recorded(read(event_class, version, golden(name)), reason="because")
    keys = keys_for(it)
    form = MAPPER.to_stored_event(it, keys)
    again = MAPPER.to_domain_event(form)
    personal = layout(event_class).personal
    clear = {field for field in personal if getattr(it.event, field) is not None}
    assert {field for field in personal if isinstance(getattr(again.event, field), Sealed)} == clear
    assert again.event.model_dump(exclude=set(personal)) == it.event.model_dump(exclude=set(personal))
    assert replace(again.envelope, reason=None) == replace(it.envelope, reason=None)
    for field in clear:
        assert json.encode(getattr(it.event, field)) not in form.state
