"""A stored event in the JSON format of CloudEvents 1.0, as the feed and webhooks hand it out."""

from typing import Any

from eventsourcing.persistence import Notification

from infra import json
from services.ports import ENVELOPE_MAY_LACK


def cloud_event(notification: Notification, namespace: str) -> dict[str, Any]:
    """The stored event, reshaped: nothing is opened."""
    state = json.decode(notification.state)
    optional = {name.replace("_", ""): state.get(name) for name in ENVELOPE_MAY_LACK}
    return {
        "specversion": "1.0",
        "id": state["id"],
        "source": f"/lethe/{namespace}",
        "type": notification.topic,
        "subject": str(notification.originator_id),
        "time": state["recorded_at"],
        "dataschema": f"urn:lethe:schema:{notification.topic}:{state['version']}",
        "datacontenttype": "application/json",
        "position": notification.id,
        "aggregateversion": notification.originator_version,
        "occurredat": state["occurred_at"],
        "actor": state["actor"],
        "commandid": state["command_id"],
        "correlationid": state["correlation_id"],
        **{name: value for name, value in optional.items() if value is not None},
        "data": state["data"] | {"sealed": state["sealed"]},
    }


class Wanted:
    """Which events are asked for: types such as `lead.won`, or kinds of record such as `lead`; none: all."""

    def __init__(self, types: frozenset[str]) -> None:
        self._types = types

    @property
    def everything(self) -> bool:
        return not self._types

    def __contains__(self, topic: str) -> bool:
        return not self._types or topic in self._types or topic.partition(".")[0] in self._types
