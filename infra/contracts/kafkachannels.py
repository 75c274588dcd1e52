"""The topics, as AsyncAPI describes them: of events, replays, states and signed checkpoints."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from infra.contracts.shapes import Shape

Node = dict[str, Any]
Schemas = Mapping[tuple[str, int], Shape]

BINDING_VERSION: Final = "0.5.0"
SERVERS: Final[Node] = {
    "kafka": {
        "host": "{broker}",
        "protocol": "kafka",
        "description": "The broker that LETHE_KAFKA names.",
        "variables": {"broker": {"default": "localhost:9092"}},
    }
}
KAFKA: Final = [{"$ref": "#/servers/kafka"}]
KEY: Final[Node] = {"type": "string", "format": "uuid", "description": "The record's id."}
KEPT: Final[Node] = {"cleanup.policy": ["delete"], "retention.ms": -1}
COMPACTED: Final[Node] = {"cleanup.policy": ["compact"]}


def name_of(event_type: str, version: int) -> str:
    """How the document calls the message and the schema of a version of an event."""
    return f"{event_type}.v{version}"


def channels(schemas: Schemas, states: Sequence[Shape], topics: Sequence[str], namespace: str) -> Node:
    """Every topic of the namespace, and those that are there for who asks for them."""
    return {it: _events(it, namespace, _of(it, schemas)) for it in topics} | {
        "replay": _replay(namespace, [name_of(*it) for it in schemas]),
        **{it["x-type"]: _state(it, namespace) for it in states},
        "checkpoints": _checkpoints(namespace),
    }


def operations(schemas: Schemas, states: Sequence[Shape], topics: Sequence[str]) -> Node:
    """What the system does there: it publishes."""
    published = {it: (f"Publish what happens: {it}", _of(it, schemas)) for it in topics} | {
        "replay": ("Publish a part of the log again", [name_of(*it) for it in schemas]),
        **{it["x-type"]: (f"Publish how records stand: {it['x-type']}", ["state"]) for it in states},
        "checkpoints": ("Publish signed checkpoints", ["checkpoint"]),
    }
    return {
        f"publish.{channel}": {
            "action": "send",
            "title": title,
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"#/channels/{channel}/messages/{it}"} for it in messages],
        }
        for channel, (title, messages) in published.items()
    }


def message(event_type: str, version: int, schema: Shape) -> Node:
    """An event as a Kafka record, in the binary mode of CloudEvents."""
    said = {"ce_type": {"const": event_type}, "ce_dataschema": {"const": schema["$id"]}}
    headers = {"$ref": "#/components/schemas/CloudEventHeaders"}
    return {
        "name": event_type,
        "title": f"{schema['title']}, version {version}",
        "summary": schema["description"].splitlines()[0],
        "contentType": "application/json",
        "headers": {"type": "object", "allOf": [headers, {"properties": said}]},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "payload": {"$ref": f"#/components/schemas/{name_of(event_type, version)}"},
        "bindings": _bound(key=KEY),
    }


def _of(stream: str, schemas: Schemas) -> list[str]:
    """The messages of a topic of events."""
    return [name_of(*it) for it, schema in schemas.items() if schema["x-stream"] == stream]


def _references(messages: Iterable[str]) -> Node:
    return {it: {"$ref": f"#/components/messages/{it}"} for it in messages}


def _bound(**says: Any) -> Node:
    return {"kafka": {**says, "bindingVersion": BINDING_VERSION}}


def _events(stream: str, namespace: str, messages: Iterable[str]) -> Node:
    topic = f"{namespace}.{stream}"
    return {
        "address": topic,
        "title": stream,
        "description": "A record's events are in one partition, in order; nothing of them ages out.",
        "servers": KAFKA,
        "messages": _references(messages),
        "bindings": _bound(topic=topic, topicConfiguration=KEPT),
    }


def _replay(namespace: str, messages: Iterable[str]) -> Node:
    return {
        "address": f"{namespace}.replay.{{name}}",
        "title": "replay",
        "description": "A part of the log again, of all kinds together, for a subscriber that comes late.",
        "parameters": {"name": {"description": "The name of the replay."}},
        "servers": KAFKA,
        "messages": _references(messages),
        "bindings": _bound(topicConfiguration=KEPT),
    }


def _state(schema: Shape, namespace: str) -> Node:
    topic = f"{namespace}.{schema['x-type']}"
    number = {"type": "string", "pattern": "^[0-9]+$"}
    state = {
        "name": "state",
        "title": f"{schema['title']}, version {schema['x-version']}",
        "summary": schema["description"].splitlines()[0],
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": {
                "lethe_version": {**number, "description": "Of the record."},
                "lethe_position": {**number, "description": "In the log."},
                "lethe_dataschema": {"const": schema["$id"]},
            },
            "required": ["lethe_version", "lethe_position", "lethe_dataschema"],
        },
        "payload": {
            "anyOf": [
                {"$ref": f"#/components/schemas/{name_of(schema['x-type'], schema['x-version'])}"},
                {"type": "null"},
            ],
            "description": "The view's row; nothing (a tombstone) once the person it is about is erased.",
        },
        "bindings": _bound(key=KEY),
    }
    return {
        "address": topic,
        "title": schema["x-type"],
        "description": "The newest state of every record of the view, where LETHE_STATE_TOPICS names it.",
        "servers": KAFKA,
        "messages": {"state": state},
        "bindings": _bound(topic=topic, topicConfiguration=COMPACTED),
    }


def _checkpoints(namespace: str) -> Node:
    topic = f"{namespace}.checkpoints"
    origins = [f"lethe/{namespace}/{log}" for log in ("log", "access")]
    note = {
        "name": "checkpoint",
        "title": "Signed checkpoint of an audit tree",
        "contentType": "text/plain",
        "payload": {
            "type": "string",
            "description": "A signed note (C2SP tlog-checkpoint): origin, size, root.",
        },
        "bindings": _bound(key={"type": "string", "enum": origins}),
    }
    return {
        "address": topic,
        "title": "checkpoints",
        "description": "What the system has sworn to, where it cannot take it back.",
        "servers": KAFKA,
        "messages": {"checkpoint": note},
        "bindings": _bound(topic=topic, partitions=1, topicConfiguration=KEPT),
    }
