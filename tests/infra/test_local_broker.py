"""The local broker: it serves, survives a kill with what it has acknowledged, and keeps its address."""

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from infra.kafka import broker as module
from infra.kafka.broker import LocalBroker, NoBroker, main

pytestmark = pytest.mark.broker


def test_what_was_acknowledged_is_there_after_a_kill_at_the_same_address(broker: LocalBroker) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=broker.address, acks="all")
    producer.send("kept", b"a fact").get(timeout=20)
    producer.close()
    address = broker.address

    broker.kill()
    assert broker.pid is None
    broker.start()

    consumer = KafkaConsumer("kept", bootstrap_servers=address, auto_offset_reset="earliest", group_id=None)
    records = [record for batch in consumer.poll(timeout_ms=20_000).values() for record in batch]
    consumer.close()
    assert [record.value for record in records] == [b"a fact"]


def test_without_jars_the_reason_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(module, "FETCHED", tmp_path_factory.mktemp("empty") / ".ready")
    with pytest.raises(NoBroker, match="jars"):
        LocalBroker(tmp_path_factory.mktemp("broker")).start()


def test_the_module_used_wrongly_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launch"]) == 2
    assert "fetch|run" in capsys.readouterr().err
