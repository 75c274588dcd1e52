"""Batches as kafka-python's own reader finds them."""

from hypothesis import given
from hypothesis import strategies as st
from kafka.record import MemoryRecords

from infra.kafka.batches import batch_of, body_of
from infra.kafka.record import KafkaRecord

contents = st.binary(max_size=70) | st.binary(min_size=4_090, max_size=5_000)
records = st.builds(
    KafkaRecord,
    topic=st.just("main.leads"),
    key=contents,
    value=contents,
    headers=st.lists(st.tuples(st.text(max_size=20), contents), max_size=5),
)


@given(st.lists(records, min_size=1, max_size=5), st.integers(0, 2**31 - 1), st.integers(0, 2**15 - 1))
def test_what_is_written_is_read_back(written: list[KafkaRecord], sequence: int, epoch: int) -> None:
    batch = batch_of(
        [body_of(it) for it in written],
        producer_id=2**40,
        epoch=epoch,
        sequence=sequence,
        timestamp_ms=1_772_355_600_000,
    )

    [read] = MemoryRecords(batch)

    assert read.validate_crc()
    assert (read.producer_id, read.producer_epoch, read.base_sequence) == (2**40, epoch, sequence)
    assert read.last_offset_delta == len(written) - 1
    assert [(it.offset, it.timestamp, it.key, it.value, it.headers) for it in read] == [
        (place, 1_772_355_600_000, it.key, it.value, it.headers) for place, it in enumerate(written)
    ]


def test_a_batch_of_many_counts_each_place_in_it() -> None:
    body = body_of(KafkaRecord("main.leads", b"k", b"v", []))

    [read] = MemoryRecords(batch_of([body] * 9_000, producer_id=1, epoch=0, sequence=0, timestamp_ms=1))

    assert [it.offset for it in read] == list(range(9_000))
