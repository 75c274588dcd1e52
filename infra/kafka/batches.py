"""Record batches of Kafka's message format, version 2, as https://kafka.apache.org/documentation/#recordbatch
has them. Written here because handing over one record at a time costs ten times as much as writing it.
"""

from collections.abc import Sequence

from crc32c import crc32c
from kafka.record.default_records import DefaultRecordBatch

from infra.kafka.record import Headers, KafkaRecord

HEADER = DefaultRecordBatch.HEADER_STRUCT
# The checksum covers what comes after it: from the attributes on.
CHECKED_FROM = DefaultRecordBatch.ATTRIBUTES_OFFSET
BEFORE_LENGTH = DefaultRecordBatch.AFTER_LEN_OFFSET
MAGIC = 2
NULL = b"\x01"  # a length of -1
# The length of a record, its attributes, the time since the batch's and the place in the batch.
RECORD_OVERHEAD = 12


def varint(number: int) -> bytes:
    """A number of 0 and more as the format has it: zigzag, seven bits a byte."""
    if number < len(_VARINTS):
        return _VARINTS[number]
    return _varint(number)


def body_of(record: KafkaRecord) -> bytes:
    """Key, value and headers: all of a record that does not depend on its batch."""
    return body(record.key, record.value, record.headers)


def body(key: bytes, value: bytes | None, headers: Headers) -> bytes:
    """The same of a record that may have no value: a tombstone, where the topic is compacted."""
    parts = [varint(len(key)), key]
    parts += (NULL,) if value is None else (varint(len(value)), value)
    parts.append(varint(len(headers)))
    for name, content in headers:
        parts += (_names.get(name) or _name(name), varint(len(content)), content)
    return b"".join(parts)


def batch_of(
    bodies: Sequence[bytes], *, producer_id: int, epoch: int, sequence: int, timestamp_ms: int
) -> bytes:
    """A batch of these records, numbered from `sequence` for the broker to know it again."""
    parts: list[bytes] = []
    for offset, body in enumerate(bodies):
        place = varint(offset)
        # Attributes: none; time: the batch's.
        parts += (varint(2 + len(place) + len(body)), b"\0\0", place, body)
    records = b"".join(parts)
    header = bytearray(
        HEADER.pack(
            0, HEADER.size + len(records) - BEFORE_LENGTH, -1, MAGIC, 0, 0, len(bodies) - 1,
            timestamp_ms, timestamp_ms, producer_id, epoch, sequence, len(bodies),
        )
    )  # fmt: skip
    checksum = crc32c(records, crc32c(memoryview(header)[CHECKED_FROM:]))
    header[CHECKED_FROM - 4 : CHECKED_FROM] = checksum.to_bytes(4, "big")
    return bytes(header) + records


def _varint(number: int) -> bytes:
    number <<= 1
    written = bytearray()
    while number > 0x7F:
        written.append(0x80 | number & 0x7F)
        number >>= 7
    written.append(number)
    return bytes(written)


_VARINTS = [_varint(it) for it in range(4096)]
_names: dict[str, bytes] = {}
"""The headers' names, written: there are no more than the record declares."""


def _name(name: str) -> bytes:
    written = name.encode()
    return _names.setdefault(name, varint(len(written)) + written)
