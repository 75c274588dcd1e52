"""The AsyncAPI document holds: by the published JSON Schema of AsyncAPI 3.0.0, and by what the relay does."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

from infra.contracts.contracts import Contracts
from infra.http.feed import FeedQuery
from infra.kafka.checkpoints import checkpoint_topic
from infra.kafka.record import STREAMS, state_topic, to_record, topics
from infra.kafka.replay import replay_topic
from infra.stateforms import SCHEMAS, STATES
from infra.webhooks.sending import MEDIA_TYPE
from infra.webhooks.signing import signed
from tests.contracts_published.said import stored
from tests.domain.test_golden import NAMES

CONTRACTS = Contracts(STREAMS, list(SCHEMAS.values()), "north")
# As JSON has it, so that nothing is in it that JSON has no word for.
DOCUMENT: dict[str, Any] = json.loads(json.dumps(CONTRACTS.asyncapi))
VECTORS = Path(__file__).parents[1] / "vectors"
"""`asyncapi-3.0.0.json`: schemas/3.0.0-without-$id.json of the npm package @asyncapi/specs 6.11.1, unchanged
(Apache License 2.0: see asyncapi-LICENSE and asyncapi-NOTICE)."""


def resolved(reference: dict[str, str]) -> Any:
    """What a reference within the document points to."""
    node: Any = DOCUMENT
    for step in reference["$ref"].removeprefix("#/").split("/"):
        node = node[step]
    return resolved(node) if "$ref" in node else node


def references(node: Any) -> list[dict[str, str]]:
    if isinstance(node, dict):
        own = [node] if isinstance(node.get("$ref"), str) else []
        return own + [it for value in node.values() for it in references(value)]
    return [it for value in node for it in references(value)] if isinstance(node, list) else []


def test_the_document_is_valid_by_the_official_schema() -> None:
    official = Draft7Validator(json.loads((VECTORS / "asyncapi-3.0.0.json").read_bytes()))
    assert [f"{it.json_path}: {it.message}" for it in official.iter_errors(DOCUMENT)] == []
    assert not official.is_valid(DOCUMENT | {"channels": {"leads": {"adress": "main.leads"}}})


def test_every_reference_in_it_points_to_something() -> None:
    assert len([resolved(it) for it in references(DOCUMENT)]) > len(CONTRACTS.schemas)


def test_it_names_the_topics_of_the_system_that_serves_it() -> None:
    addresses = {
        it["address"].format(name="late")
        for it in DOCUMENT["channels"].values()
        if it.get("servers") == [{"$ref": "#/servers/kafka"}]
    }
    states = {state_topic("north", it) for it in STATES}
    assert addresses == states | {checkpoint_topic("north"), replay_topic("north", "late"), *topics("north")}


def test_an_event_is_announced_in_the_topic_that_it_goes_to() -> None:
    for name in NAMES:
        record = to_record(stored(name), "north")
        (channel,) = [it for it in DOCUMENT["channels"].values() if it["address"] == record.topic]
        version = name.partition("-")[0]
        message = resolved(channel["messages"][version])
        headers = dict(record.headers)
        (_, said) = message["headers"]["allOf"]
        for header in ("ce_type", "ce_dataschema"):
            assert said["properties"][header]["const"] == headers[header].decode()
        assert resolved(message["payload"])["$id"] == headers["ce_dataschema"].decode()


def test_every_version_of_every_event_is_in_one_channel_and_in_replays() -> None:
    channels = {name: list(it["messages"]) for name, it in DOCUMENT["channels"].items()}
    expected = sorted(f"{type}.v{version}" for type, version in CONTRACTS.schemas)
    assert sorted(channels["replay"]) == expected
    assert sorted(name for stream in set(STREAMS.values()) for name in channels[stream]) == expected


def test_every_message_of_a_channel_is_sent_by_an_operation() -> None:
    sent = [it["$ref"] for operation in DOCUMENT["operations"].values() for it in operation["messages"]]
    announced = [
        f"#/channels/{channel}/messages/{name}"
        for channel, it in DOCUMENT["channels"].items()
        for name in it["messages"]
    ]
    assert sorted(sent) == sorted(announced)


def test_a_webhook_has_the_headers_that_are_announced() -> None:
    announced = DOCUMENT["channels"]["webhook"]["messages"]["delivered"]
    assert announced["contentType"] == MEDIA_TYPE
    assert announced["headers"]["properties"].keys() == signed([b"secret"], "id", 0, b"{}").keys()


def test_the_feed_takes_the_parameters_that_are_announced() -> None:
    query = DOCUMENT["operations"]["serve.feed"]["bindings"]["http"]["query"]
    assert query["properties"].keys() <= FeedQuery.model_fields.keys()
