"""An event as it came, before anything of it is made typed: the same from the feed and from a topic."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from uuid import UUID


@dataclass(frozen=True)
class Box:
    """A sealed box of an event: what it is about, never what is in it."""

    subject: UUID
    category: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Received:
    """A CloudEvent of a Lethe, in its JSON form."""

    document: Mapping[str, Any]

    @classmethod
    def from_record(cls, value: bytes, headers: Sequence[tuple[str, bytes]]) -> Self:
        """The event of a Kafka record (CloudEvents, binary mode)."""
        document: dict[str, Any] = {
            name.removeprefix("ce_"): content.decode() for name, content in headers if name.startswith("ce_")
        }
        for name in ("position", "aggregateversion"):
            document[name] = int(document[name])
        return cls(document | {"data": json.loads(value)})

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The event of `text`."""
        return cls(json.loads(text))

    @property
    def text(self) -> str:
        """The event as JSON, its boxes closed."""
        return json.dumps(self.document, separators=(",", ":"))

    @property
    def type(self) -> str:
        """Such as `ticket.opened`."""
        return str(self.document["type"])

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def position(self) -> int:
        return int(self.document["position"])

    @property
    def aggregate_id(self) -> str:
        return str(self.document["subject"])

    @property
    def version(self) -> int:
        """1, 2, 3 ... in each record."""
        return int(self.document["aggregateversion"])

    @property
    def schema_version(self) -> int:
        """The version of the event's form."""
        return int(self.document["dataschema"].rpartition(":")[2])

    @property
    def data(self) -> Mapping[str, Any]:
        """What the event says in public; the boxes are under `sealed`."""
        data: Mapping[str, Any] = self.document["data"]
        return data

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """What is sealed in it."""
        return tuple(
            Box(UUID(it["subject"]), it["category"], tuple(it["fields"]))
            for it in self.data.get("sealed", ())
        )
