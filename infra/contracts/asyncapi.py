"""The AsyncAPI 3.0 document: every topic, the feed and webhooks, with the messages that come there."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from infra.contracts import cloudevents, httpchannels, kafkachannels
from infra.contracts.kafkachannels import Schemas, name_of
from infra.contracts.shapes import Shape

DESCRIPTION: Final = """\
What happens in a CRM that remembers everything and can forget anyone.

Each event comes at least once, the events of a record in order, without holes: de-duplicate by `ce_id`,
or by the record's `ce_aggregateversion`. Personal data lies in boxes under `sealed`, and nowhere else.
Members, headers and types that a reader does not know are to be passed over: a later release may add some.
"""


def document(
    schemas: Schemas, states: Sequence[Shape], streams: Iterable[str], namespace: str
) -> dict[str, Any]:
    """The document of a system. `streams`: its topics of events, without the namespace."""
    topics = sorted(set(streams))
    known = {**schemas} | {(it["x-type"], it["x-version"]): it for it in states}
    return {
        "asyncapi": "3.0.0",
        "id": f"urn:lethe:asyncapi:{namespace}",
        "info": {"title": "Lethe", "version": "1", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": kafkachannels.SERVERS | httpchannels.SERVERS,
        "channels": kafkachannels.channels(schemas, states, topics, namespace) | httpchannels.CHANNELS,
        "operations": kafkachannels.operations(schemas, states, topics) | httpchannels.OPERATIONS,
        "components": {
            "messages": {name_of(*it): kafkachannels.message(*it, schemas[it]) for it in schemas},
            "schemas": {
                "CloudEventHeaders": cloudevents.headers(),
                "CloudEvent": cloudevents.document(),
                **{name_of(*it): _embedded(schema) for it, schema in known.items()},
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _embedded(schema: Shape) -> Shape:
    """Without its dialect: what these schemas say is the same in AsyncAPI's own, which is that of draft 7."""
    return {name: it for name, it in schema.items() if name != "$schema"}
