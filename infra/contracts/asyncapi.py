"""The AsyncAPI 3.0 document: every topic and the feed, with the messages that come there."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.contracts import cloudevents
from infra.contracts.shapes import Shape

Node = dict[str, Any]
Schemas = Mapping[tuple[str, int], Shape]

DESCRIPTION: Final = """\
What happens in a CRM that remembers everything and can forget anyone.

Each event comes at least once, the events of a record in order, without holes: de-duplicate by `ce_id`,
or by the record's `ce_aggregateversion`. Personal data lies in boxes under `sealed`, and nowhere else.
Members, headers and types that a reader does not know are to be passed over: a later release may add some.
"""
JSON: Final = "application/json"
NOTE: Final = "text/plain"
BINDING: Final = {"kafka": "0.5.0", "http": "0.3.0"}
WAIT_WORDS: Final = "Seconds to wait where there is nothing yet."


def document(schemas: Schemas, streams: Iterable[str], namespace: str) -> Node:
    """The document of a system. `streams`: its topics of events, without the namespace."""
    return {
        "asyncapi": "3.0.0",
        "id": f"urn:lethe:asyncapi:{namespace}",
        "info": {"title": "Lethe", "version": "1", "description": DESCRIPTION},
        "defaultContentType": JSON,
        "servers": SERVERS,
        "channels": {it: _topic(it, namespace, schemas) for it in sorted(set(streams))}
        | {"checkpoints": _checkpoints(namespace), "feed": FEED},
        "operations": {f"publish.{it}": _publishing(it, schemas) for it in sorted(set(streams))}
        | {"publish.checkpoints": PUBLISHING_CHECKPOINTS, "serve.feed": SERVING_FEED},
        "components": {
            "messages": {_name(*it): _message(*it, schemas[it]) for it in schemas},
            "schemas": {
                "CloudEventHeaders": cloudevents.headers(),
                "CloudEvent": cloudevents.document(),
                **{_name(*it): _embedded(schema) for it, schema in schemas.items()},
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _name(event_type: str, version: int) -> str:
    return f"{event_type}.v{version}"


def _embedded(schema: Shape) -> Shape:
    """Without its dialect: what these schemas say is the same in AsyncAPI's own, which is that of draft 7."""
    return {name: it for name, it in schema.items() if name != "$schema"}


def _of(stream: str, schemas: Schemas) -> list[str]:
    return [_name(*it) for it, schema in schemas.items() if schema["x-stream"] == stream]


def _topic(stream: str, namespace: str, schemas: Schemas) -> Node:
    topic = f"{namespace}.{stream}"
    return {
        "address": topic,
        "title": stream,
        "description": "A record's events are in one partition, in order; nothing of them ages out.",
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {it: {"$ref": f"#/components/messages/{it}"} for it in _of(stream, schemas)},
        "bindings": _bound("kafka", topic=topic, topicConfiguration=KEPT),
    }


def _message(event_type: str, version: int, schema: Shape) -> Node:
    """An event as a Kafka record, in the binary mode of CloudEvents."""
    said = {"ce_type": {"const": event_type}, "ce_dataschema": {"const": schema["$id"]}}
    headers = {"$ref": "#/components/schemas/CloudEventHeaders"}
    return {
        "name": event_type,
        "title": f"{schema['title']}, version {version}",
        "summary": schema["description"].splitlines()[0],
        "contentType": JSON,
        "headers": {"type": "object", "allOf": [headers, {"properties": said}]},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "payload": {"$ref": f"#/components/schemas/{_name(event_type, version)}"},
        "bindings": _bound("kafka", key=KEY),
    }


def _publishing(stream: str, schemas: Schemas) -> Node:
    return {
        "action": "send",
        "title": f"Publish what happens: {stream}",
        "channel": {"$ref": f"#/channels/{stream}"},
        "messages": [{"$ref": f"#/channels/{stream}/messages/{it}"} for it in _of(stream, schemas)],
    }


def _checkpoints(namespace: str) -> Node:
    topic = f"{namespace}.checkpoints"
    note = {
        "name": "checkpoint",
        "title": "Signed checkpoint of an audit tree",
        "contentType": NOTE,
        "payload": {
            "type": "string",
            "description": "A signed note (C2SP tlog-checkpoint): origin, size, root.",
        },
        "bindings": _bound("kafka", key={"type": "string", "enum": _origins(namespace)}),
    }
    return {
        "address": topic,
        "title": "checkpoints",
        "description": "What the system has sworn to, where it cannot take it back.",
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {"checkpoint": note},
        "bindings": _bound("kafka", topic=topic, partitions=1, topicConfiguration=KEPT),
    }


def _origins(namespace: str) -> list[str]:
    return [f"lethe/{namespace}/{log}" for log in ("log", "access")]


def _bound(protocol: str, **says: Any) -> Node:
    return {protocol: {**says, "bindingVersion": BINDING[protocol]}}


KEPT: Final[Node] = {"cleanup.policy": ["delete"], "retention.ms": -1}
KEY: Final[Node] = {"type": "string", "format": "uuid", "description": "The record's id."}
SERVERS: Final[Node] = {
    "kafka": {
        "host": "{broker}",
        "protocol": "kafka",
        "description": "The broker that LETHE_KAFKA names.",
        "variables": {"broker": {"default": "localhost:9092"}},
    },
    "api": {
        "host": "{host}",
        "protocol": "http",
        "description": "The HTTP interface.",
        "variables": {"host": {"default": "localhost:8080"}},
        "security": [{"$ref": "#/components/securitySchemes/token"}],
    },
}
FEED: Final[Node] = {
    "address": "/v1/events",
    "title": "feed",
    "description": "The events of all topics in the order of their positions, without a broker.",
    "servers": [{"$ref": "#/servers/api"}],
    "messages": {
        "page": {
            "name": "page",
            "title": "Events in order of position",
            "contentType": JSON,
            "payload": {
                "type": "object",
                "properties": {
                    "items": {"type": "array", "items": {"$ref": "#/components/schemas/CloudEvent"}},
                    "next": {"type": "integer", "description": "The `after` of the next request."},
                },
                "required": ["items", "next"],
            },
        }
    },
}
PUBLISHING_CHECKPOINTS: Final[Node] = {
    "action": "send",
    "title": "Publish signed checkpoints",
    "channel": {"$ref": "#/channels/checkpoints"},
    "messages": [{"$ref": "#/channels/checkpoints/messages/checkpoint"}],
}
SERVING_FEED: Final[Node] = {
    "action": "send",
    "title": "Hand out events on request",
    "channel": {"$ref": "#/channels/feed"},
    "messages": [{"$ref": "#/channels/feed/messages/page"}],
    "bindings": _bound(
        "http",
        method="GET",
        query={
            "type": "object",
            "properties": {
                "after": {"type": "integer", "minimum": 0, "description": "The `next` of the last answer."},
                "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
                "types": {"type": "string", "description": "Only these types or kinds of record, by comma."},
                "wait": {"type": "number", "minimum": 0, "description": WAIT_WORDS},
            },
        },
    ),
}
