"""What is said of an event beside its data: CloudEvents 1.0, as Kafka headers and as members of the feed."""

from typing import Any, Final, NamedTuple

from infra.contracts.shapes import Shape
from services.ports import Ground

UUID: Final[Shape] = {"type": "string", "format": "uuid"}
TIME: Final[Shape] = {"type": "string", "format": "date-time"}
NUMBER: Final[Shape] = {"type": "integer", "minimum": 1}
TEXT: Final[Shape] = {"type": "string"}


class Attribute(NamedTuple):
    """An attribute by the name that CloudEvents gives it, without the prefix `ce_` of Kafka's headers."""

    name: str
    shape: Shape
    description: str
    always: bool = True


ATTRIBUTES: Final = (
    Attribute("specversion", {"type": "string", "const": "1.0"}, "The version of CloudEvents."),
    Attribute("id", UUID, "Tells a repeat of one event from two events: de-duplicate by it."),
    Attribute("source", {**TEXT, "examples": ["/lethe/main"]}, "The system: `/lethe/<namespace>`."),
    Attribute("type", {**TEXT, "examples": ["lead.won"]}, "What happened."),
    Attribute("subject", UUID, "The record that it happened to."),
    Attribute("time", TIME, "When it was recorded, in UTC."),
    Attribute(
        "dataschema",
        {**TEXT, "format": "uri"},
        "The schema of the data: `urn:lethe:schema:<type>:<version>`.",
    ),
    Attribute("position", NUMBER, "The place in the log: ascending, with holes."),
    Attribute("aggregateversion", NUMBER, "1, 2, 3 ... in each record."),
    Attribute("occurredat", TIME, "When it happened, in the business's time."),
    Attribute("actor", TEXT, "Who did it: a pseudonym, or a part of the system, such as `lethe-scheduler`."),
    Attribute("commandid", UUID, "The command that did it: one command may do several things."),
    Attribute("correlationid", UUID, "What belongs together, over many commands."),
    Attribute("causationid", UUID, "What brought the command about.", always=False),
    Attribute("traceparent", TEXT, "The trace it was done in (W3C Trace Context).", always=False),
    Attribute("onbehalfof", UUID, "The pseudonym of whom the actor acted for.", always=False),
    Attribute("purpose", TEXT, "The code of the processing activity that it served.", always=False),
    Attribute(
        "ground",
        {**TEXT, "x-extensible-enum": [str(it) for it in Ground]},
        "Why restricted data was processed all the same (GDPR, article 18(2)).",
        always=False,
    ),
)


def headers() -> Shape:
    """The headers of a Kafka record: the Kafka binding of CloudEvents, binary mode."""
    properties: dict[str, Any] = {"content-type": {"type": "string", "const": "application/json"}}
    # Headers are bytes: a number is written in decimal digits.
    for it in ATTRIBUTES:
        written = {"type": "string", "pattern": "^[1-9][0-9]*$"} if it.shape is NUMBER else it.shape
        properties[f"ce_{it.name}"] = {**written, "description": it.description}
    always = [f"ce_{it.name}" for it in ATTRIBUTES if it.always]
    return {"type": "object", "properties": properties, "required": ["content-type", *always]}


def document() -> Shape:
    """An event in the JSON format of CloudEvents, as the feed hands it out."""
    properties: dict[str, Any] = {it.name: {**it.shape, "description": it.description} for it in ATTRIBUTES}
    properties["datacontenttype"] = {"type": "string", "const": "application/json"}
    properties["data"] = {
        "type": "object",
        "description": "As the schema says that `dataschema` names: public data, and boxes under `sealed`.",
    }
    always = [it.name for it in ATTRIBUTES if it.always]
    return {"type": "object", "properties": properties, "required": [*always, "datacontenttype", "data"]}
