"""A subscriber on Kafka and PostgreSQL, one of a group, to be killed: `ADDRESS NAMESPACE CONNINFO`."""

import sys
from typing import Any

from lethe_subscriber import KafkaTopics, PostgreSQL, Subscriber
from lethe_subscriber.events import LeadQualified

SEEN = (
    "CREATE TABLE IF NOT EXISTS seen (turn bigserial, id text PRIMARY KEY, aggregate_id text, version bigint)"
)


def main(address: str, namespace: str, conninfo: str) -> None:
    subscriber = Subscriber("member", KafkaTopics(address, namespace), PostgreSQL(conninfo, SEEN))

    @subscriber.on(LeadQualified)
    def see(event: LeadQualified, db: Any) -> None:
        db.execute(
            "INSERT INTO seen (id, aggregate_id, version) VALUES (%s, %s, %s)",
            [str(event.id), str(event.aggregate_id), event.aggregate_version],
        )

    subscriber.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
