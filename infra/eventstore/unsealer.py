"""Opens boxes for readers: keys fetched once, each box opened once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from domain.model import Erased, Sealed
from infra.eventstore.sealing import Place, open_box
from services.ports import DataKey, KeyLost, KeyName, KeyRing, Standing, Tampered

Opened = dict[str, str] | Erased


class BoxUnsealer:
    """Implements `services.ports.Unsealer` for the boxes of one namespace."""

    def __init__(self, ring: KeyRing, namespace: str) -> None:
        self._ring = ring
        self._namespace = namespace

    async def open(self, values: Sequence[Sealed]) -> Mapping[Sealed, str | Erased]:
        return self._open(values, await self._ring.fetch(_names(values))) if values else {}

    async def open_heeding(
        self, values: Sequence[Sealed], people: Collection[UUID]
    ) -> tuple[Mapping[Sealed, str | Erased], Mapping[UUID, Standing]]:
        keys, standings = await self._ring.open(_names(values), people)
        return self._open(values, keys), standings

    def _open(
        self, values: Sequence[Sealed], keys: Mapping[KeyName, DataKey | Erased | None]
    ) -> Mapping[Sealed, str | Erased]:
        boxes: dict[str, tuple[Sealed, Opened]] = {}
        opened: dict[Sealed, str | Erased] = {}
        for value in values:
            known = boxes.get(value.box)
            # A box stands for itself only in its own place: a copy elsewhere must not pass unopened.
            if known is None or _place_of(known[0]) != _place_of(value):
                key = keys[value.subject_id, value.category]
                known = boxes[value.box] = value, self._opened(value, key)
            contents = known[1]
            opened[value] = contents if isinstance(contents, Erased) else _field(contents, value)
        return opened

    def _opened(self, value: Sealed, key: DataKey | Erased | None) -> Opened:
        if key is None:
            raise _lost(value, "there is no such key")
        # A key store of another time or place may have a key of this name, or a tombstone, that is not the
        # box's: that is neither an answer nor an erasure.
        if getattr(key, "fingerprint", value.fingerprint) != value.fingerprint:
            raise _lost(value, "the key of that name is another one")
        if isinstance(key, Erased):
            return Erased(value.category)
        place = Place(
            self._namespace,
            value.originator_id,
            value.originator_version,
            value.topic,
            value.event_id,
            value.subject_id,
            value.category,
        )
        return open_box(value.box, key, place)


def _names(values: Iterable[Sealed]) -> set[KeyName]:
    return {(value.subject_id, value.category) for value in values}


def _place_of(value: Sealed) -> tuple[object, ...]:
    # Compared as a whole, the parts that handles of one row share cost nothing.
    return (
        value.originator_id,
        value.originator_version,
        value.topic,
        value.event_id,
        value.subject_id,
        value.category,
        value.fingerprint,
    )


def _field(contents: dict[str, str], value: Sealed) -> str:
    try:
        return contents[value.field]
    except KeyError:
        raise Tampered(
            f"the {value.category} box of event {value.event_id} holds no {value.field!r}"
        ) from None


def _lost(value: Sealed, how: str) -> KeyLost:
    return KeyLost(
        f"event {value.event_id} is sealed under the {value.category} key of subject"
        f" {value.subject_id}: {how}"
    )
