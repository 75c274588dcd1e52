"""Events and rows as the person they are about may see them: their own values opened, nobody else's shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final
from uuid import UUID

from domain.model import Erased, Event, Sealed
from infra import json
from infra.dossier.provided import CURRENT, PROVIDED
from projections.model import Row
from projections.timeline import kind_of
from services.ports import NOTHING_STANDS, KeyRing, Recorded, Standing, Unsealer

HOUSEKEEPING: Final = frozenset({"id", "subject_id", "position", "version"})
"""Fields of rows that say nothing about the person."""
STAFF: Final = frozenset({"agent_id", "manager_id", "owner_id"})
"""Fields that name who of the staff."""
PSEUDONYMS: Final = frozenset({"contact_id", "subject_id"})
"""Fields of events that name whom they are about."""

Fields = Callable[[Event], Mapping[str, Any]]
"""Takes some of an event's fields out of it, by name."""


class Opening:
    """Opens what is the person's own. With `provided` only what they provided themselves."""

    def __init__(
        self,
        subject_id: UUID,
        unsealer: Unsealer,
        ring: KeyRing,
        *,
        personal: Fields,
        public: Fields,
        provided: bool,
    ) -> None:
        self._subject_id = subject_id
        self._personal_of = personal
        self._public_of = public
        self._unsealer = unsealer
        self._ring = ring
        self._provided = provided

    async def standing(self) -> Standing:
        """As things stand now, never from memory."""
        return (await self._ring.standings([self._subject_id])).get(self._subject_id, NOTHING_STANDS)

    async def events(self, history: Sequence[Recorded]) -> list[dict[str, Any]]:
        """The events as items of the history; those that hold nothing asked for are left out."""
        said = [(it, self._said(it)) for it in history]
        if self._provided:
            said = [(it, values) for it, values in said if values]
        clear = await self._clear([value for _, values in said for value in values.values()])
        return [
            _event(it, self._facts_of(it.event), {name: clear(value) for name, value in values.items()})
            for it, values in said
        ]

    async def rows(self, kind: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """The rows as items of the records; of another's record, the person's part in it."""
        parts = [(row, self._part(row)) for row in rows]
        personal = [(row, self._personal(kind, part)) for row, part in parts]
        clear = await self._clear([value for _, values in personal for value in values.values()])
        return [
            {
                "id": row.id,
                "kind": kind,
                "facts": {} if self._provided else _facts(row, own=row.subject_id == self._subject_id),
                "personal": {name: clear(value) for name, value in values.items()},
            }
            for row, values in personal
        ]

    def _said(self, recorded: Recorded) -> dict[str, Any]:
        """The personal values of the event that are the person's own, sealed as they are."""
        event = recorded.event
        values: dict[str, Any] = dict(self._personal_of(event))
        if self._provided:
            asked = PROVIDED.get(event.TOPIC, frozenset())
            values = {name: value for name, value in values.items() if name in asked}
        else:
            values["reason"] = recorded.envelope.reason
        return {name: value for name, value in values.items() if self._is_own(value, event)}

    def _facts_of(self, event: Event) -> dict[str, Any]:
        told = {} if self._provided else self._public_of(event)
        return {name: value for name, value in told.items() if name not in STAFF | PSEUDONYMS}

    def _is_own(self, value: Any, event: Event) -> bool:
        """Sealed under the person's key; or under the key of the very record, which is about them."""
        return isinstance(value, Sealed) and value.subject_id in (self._subject_id, event.originator_id)

    def _part(self, row: Row) -> Any:
        """The row, where it is the person's own; else the person as a contact in it."""
        if row.subject_id == self._subject_id:
            return row
        contacts = getattr(row, "contacts", ())
        return next((it for it in contacts if it.id == self._subject_id), None)

    def _personal(self, kind: str, part: Any) -> dict[str, Any]:
        found = {} if part is None else {it.name: getattr(part, it.name) for it in fields(part)}
        asked = CURRENT.get(kind, frozenset()) if self._provided else found.keys()
        return {name: it for name, it in found.items() if isinstance(it, Sealed) and name in asked}

    async def _clear(self, values: Sequence[Sealed]) -> Any:
        """A function that opens one of the values. The key ring is asked last whether they still may be."""
        opened = await self._unsealer.open(list(dict.fromkeys(values)))
        standing = await self.standing()

        def clear(value: Sealed) -> Any:
            own = value.subject_id == self._subject_id
            gone = own and (standing.erased or value.category in standing.erased_categories)
            found = opened[value]
            if gone or isinstance(found, Erased):
                return {"erased": True, "category": value.category}
            return found

        return clear


def _event(recorded: Recorded, facts: Mapping[str, Any], personal: dict[str, Any]) -> dict[str, Any]:
    event, envelope = recorded.event, recorded.envelope
    reason = personal.pop("reason", None)
    return {
        "position": recorded.position,
        "record_id": event.originator_id,
        "kind": kind_of(event.TOPIC),
        "type": event.TOPIC,
        "occurred_at": event.timestamp,
        "recorded_at": envelope.recorded_at,
        "purpose": envelope.purpose,
        "reason": reason,
        "facts": facts,
        "personal": personal,
    }


def _facts(row: Row, *, own: bool) -> dict[str, Any]:
    """What the row says in clear; of another's record only what it is called."""
    named = {it.name: getattr(row, it.name) for it in fields(row) if it.name not in HOUSEKEEPING | STAFF}
    facts = {
        name: json.decode(json.encode(value))
        for name, value in named.items()
        if value is not None and not isinstance(value, Sealed | Erased) and not _holds_people(value)
    }
    return facts if own else {name: facts[name] for name in ("organisation", "sector") if name in facts}


def _holds_people(value: Any) -> bool:
    return isinstance(value, list) and any(is_dataclass(it) and hasattr(it, "name") for it in value)
