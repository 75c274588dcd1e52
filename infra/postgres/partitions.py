"""How many partitions the topics have had, since which position of the log."""

from collections.abc import Collection, Mapping
from typing import Any, LiteralString

from psycopg import AsyncConnection

RECORD: LiteralString = """
WITH present AS (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::integer[]) AS it (topic_id, topic, partitions)
), latest AS (
    SELECT topic_id, max(partitions) AS partitions FROM log.partitions GROUP BY topic_id
), drawn AS (
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS position FROM log.positions
)
INSERT INTO log.partitions AS it (topic_id, topic, from_position, partitions)
SELECT topic_id, topic, CASE WHEN latest.partitions IS NULL THEN 0 ELSE drawn.position END, present.partitions
FROM drawn, present LEFT JOIN latest USING (topic_id)
WHERE latest.partitions IS NULL OR latest.partitions < present.partitions AND %s
ON CONFLICT (topic_id, from_position) DO UPDATE SET partitions = greatest(it.partitions, excluded.partitions)
"""
KNOWN: LiteralString = """
SELECT topic_id, from_position, partitions FROM log.partitions WHERE topic_id = ANY(%s)
ORDER BY topic_id, from_position
"""


async def record_partitions(
    connection: AsyncConnection[Any], topics: Collection[tuple[str, str, int]], *, growth: bool
) -> Mapping[str, list[tuple[int, int]]]:
    """The growths of each topic (id, name, partitions now) by id: from which position, how many partitions.

    A topic not seen before is recorded from position 0, and with `growth` one that has grown from the last
    position drawn: whatever was published before lies at that position or below. Only who publishes may
    record a growth, before anything is published by it.
    """
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = on")
        ids, names, counts = zip(*topics, strict=True)
        await connection.execute(RECORD, [list(ids), list(names), list(counts), growth])
    return await known_partitions(connection, ids)


async def known_partitions(
    connection: AsyncConnection[Any], ids: Collection[str]
) -> Mapping[str, list[tuple[int, int]]]:
    """The growths of each topic by id: from which position, how many partitions."""
    known: dict[str, list[tuple[int, int]]] = {it: [] for it in ids}
    cursor = await connection.execute(KNOWN, [list(ids)])
    for topic_id, from_position, partitions in await cursor.fetchall():
        known[topic_id].append((from_position, partitions))
    return known
