"""The contracts of a release, as they are handed out: of its classes, and of the versions before those."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from domain.catalogue import EVENTS
from domain.model import Event
from infra import json
from infra.contracts import asyncapi
from infra.contracts.kafkachannels import Schemas
from infra.contracts.schemas import schemas_of
from infra.contracts.shapes import Shape

FORMER: Final = Path(__file__).with_name("former")
"""The schemas of versions that have a successor, as published: no class tells of them any more."""


def former(folder: Path = FORMER) -> dict[tuple[str, int], Shape]:
    """The schemas of the versions that have a successor."""
    found = [json.decode(it.read_bytes()) for it in folder.glob("*.json")]
    return {(it["x-type"], it["x-version"]): it for it in found}


class Contracts:
    """What a subscriber relies on. `streams`: topics without namespace, by the first word of a type.
    `states`: the schemas of the views' states.

    `events` are the present versions, by type; `before` the versions that have a successor, where they are
    not those kept with this release.
    """

    def __init__(
        self,
        streams: Mapping[str, str],
        states: Sequence[Shape],
        namespace: str,
        *,
        events: Mapping[str, type[Event]] = EVENTS,
        before: Schemas | None = None,
    ) -> None:
        self._streams = streams
        self._namespace = namespace
        self._events = events
        self._before = former() if before is None else before
        self.states = states

    @cached_property
    def schemas(self) -> Schemas:
        """The schema of every version of every event, by type and version."""
        return dict(sorted({**self._before, **schemas_of(self._events.values(), self._streams)}.items()))

    @cached_property
    def asyncapi(self) -> dict[str, Any]:
        """The AsyncAPI document."""
        return asyncapi.document(self.schemas, self.states, self._streams.values(), self._namespace)
