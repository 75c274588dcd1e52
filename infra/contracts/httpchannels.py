"""The feed and webhooks, as AsyncAPI describes them: the same events without a broker."""

from typing import Any, Final

Node = dict[str, Any]

BINDING_VERSION: Final = "0.3.0"
CLOUD_EVENT: Final[Node] = {"$ref": "#/components/schemas/CloudEvent"}
SERVERS: Final[Node] = {
    "api": {
        "host": "{host}",
        "protocol": "http",
        "description": "The HTTP interface.",
        "variables": {"host": {"default": "localhost:8080"}},
        "security": [{"$ref": "#/components/securitySchemes/token"}],
    }
}


def _bound(**says: Any) -> Node:
    return {"http": {**says, "bindingVersion": BINDING_VERSION}}


PAGE: Final[Node] = {
    "name": "page",
    "title": "Events in order of position",
    "contentType": "application/json",
    "payload": {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": CLOUD_EVENT},
            "next": {"type": "integer", "description": "The `after` of the next request."},
        },
        "required": ["items", "next"],
    },
}
STREAMED: Final[Node] = {
    "name": "streamed",
    "title": "A server-sent event",
    "summary": "With `Accept: text/event-stream`. `id` is the position, `event` the type, `data` this.",
    "contentType": "text/event-stream",
    "payload": CLOUD_EVENT,
}
DELIVERED: Final[Node] = {
    "name": "delivered",
    "title": "An event in a webhook",
    "summary": "Signed by the Standard Webhooks specification; any answer of 2xx is an acknowledgement.",
    "contentType": "application/cloudevents+json",
    "headers": {
        "type": "object",
        "properties": {
            "webhook-id": {"type": "string", "description": "The same in every attempt: de-duplicate by it."},
            "webhook-timestamp": {"type": "string", "description": "Of the attempt, in seconds since 1970."},
            "webhook-signature": {
                "type": "string",
                "description": "`v1,` and an HMAC-SHA256 in base64, one for each secret, a space between.",
            },
        },
        "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    },
    "payload": CLOUD_EVENT,
}
CHANNELS: Final[Node] = {
    "feed": {
        "address": "/v1/events",
        "title": "feed",
        "description": "The events of all topics in the order of their positions.",
        "servers": [{"$ref": "#/servers/api"}],
        "messages": {"page": PAGE, "streamed": STREAMED},
    },
    "webhook": {
        "address": None,
        "title": "webhook",
        "description": "The address that a subscriber gave. A record's events come in order.",
        "messages": {"delivered": DELIVERED},
    },
}
ASKED: Final[Node] = {
    "type": "object",
    "properties": {
        "after": {"type": "integer", "minimum": 0, "description": "The `next` of the last answer."},
        "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
        "types": {"type": "string", "description": "Only these types or kinds of record, by comma."},
        "wait": {"type": "number", "minimum": 0, "description": "Seconds to wait for the next event."},
    },
}
OPERATIONS: Final[Node] = {
    "serve.feed": {
        "action": "send",
        "title": "Hand out events on request",
        "channel": {"$ref": "#/channels/feed"},
        "messages": [{"$ref": f"#/channels/feed/messages/{it}"} for it in ("page", "streamed")],
        "bindings": _bound(method="GET", query=ASKED),
    },
    "deliver.webhook": {
        "action": "send",
        "title": "Deliver events",
        "channel": {"$ref": "#/channels/webhook"},
        "messages": [{"$ref": "#/channels/webhook/messages/delivered"}],
        "bindings": _bound(method="POST"),
    },
}
