"""Records folded from segments: the same as from all their events, only sooner."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from eventsourcing.persistence import Notification
from hypothesis import given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from infra.eventstore.mapper import EventMapper
from infra.eventstore.reader import FencedReader
from infra.history.segmenting import Segmenter
from infra.history.segments import Bounds, Range, Snapshots
from infra.memory.segments import MemoryCheckpoints, MemorySegments
from infra.postgres.database import Pool, open_pool
from infra.postgres.segments import PostgresCheckpoints, PostgresSegments
from infra.postgres.views.tables import LEADS, TABLES
from projections import directory, pipeline
from projections.model import fold
from services.ports import Recorded
from tests.eventlogs import memory_log, registrations
from tests.histories import BEGIN, NAMESPACE, lead_event, long_lead, recorded, stored, write

MAPPER = EventMapper(NAMESPACE)
HOURS = st.one_of(st.none(), st.integers(-1, 40))


class LogOfOne:
    """One record's events, read as from the log."""

    def __init__(self, history: Sequence[Recorded]) -> None:
        self.read: list[int] = []
        self._log = [
            Notification(**vars(it), id=place) for place, it in enumerate(stored(MAPPER, history), start=1)
        ]

    async def between(self, ranges: Sequence[Range]) -> Sequence[Notification]:
        spans = [range(low + 1, high + 1) for _, low, high in ranges]
        return self._seen([it for it in self._log if any(it.originator_version in span for span in spans)])

    async def at_versions(self, record_id: UUID, versions: Sequence[int]) -> Sequence[Notification]:
        return self._seen([it for it in self._log if it.originator_version in versions])

    async def milestones(self, after: int, until: int, limit: int) -> Sequence[tuple[UUID, int, str, int]]:
        raise NotImplementedError

    async def horizon(self) -> int:
        return len(self._log)

    def _seen(self, found: list[Notification]) -> list[Notification]:
        self.read += [it.originator_version for it in found]
        return found


def after(hours: int | None) -> datetime | None:
    return None if hours is None else BEGIN + timedelta(hours=hours)


def history_of(id: UUID, times: Sequence[tuple[int, int, int]]) -> list[Recorded]:
    subject_id = uuid7()
    return [
        recorded(
            lead_event(id, subject_id, version, BEGIN + timedelta(hours=occurred), turn),
            BEGIN + timedelta(hours=known),
            position=version,
        )
        for version, (occurred, known, turn) in enumerate(times, start=1)
    ]


@settings(max_examples=300, deadline=None)
@given(
    times=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 40)), min_size=1, max_size=40
    ),
    each=st.integers(1, 7),
    short_of=st.integers(0, 12),
    as_of=HOURS,
    known_at=HOURS,
)
async def test_a_record_folded_from_segments_equals_the_plain_fold_however_its_events_are_dated(
    times: list[tuple[int, int, int]], each: int, short_of: int, as_of: int | None, known_at: int | None
) -> None:
    id = uuid7()
    history = history_of(id, times)
    log, segments = LogOfOne(history), MemorySegments()
    snapshots = Snapshots(segments, log, MAPPER, TABLES, events_each=each)
    segmenter = Segmenter(segments, snapshots, log, MAPPER, MemoryCheckpoints(), events_each=each)
    whole = (len(times) - min(short_of, len(times))) // each * each
    await segmenter.complete(LEADS, id, whole)

    bounds = Bounds(after(as_of), after(known_at))
    plain = fold(pipeline.project, id, history, as_of=bounds.as_of, known_at=bounds.known_at)
    assert await snapshots.as_of(pipeline.project, id, bounds) == plain
    versions = sorted({0, each % len(times), len(times) // 2, len(times)})
    rows = await snapshots.rows_at("lead", {id: versions})
    assert rows == {(id, it): fold(pipeline.project, id, history[:it]) for it in versions}


def postgres_segments(pool: Pool) -> tuple[Snapshots, Segmenter, FencedReader]:
    reader, segments = FencedReader(pool), PostgresSegments(pool)
    snapshots = Snapshots(segments, reader, MAPPER, TABLES)
    return snapshots, Segmenter(segments, snapshots, reader, MAPPER, PostgresCheckpoints(pool)), reader


async def test_in_postgres_long_records_get_their_segments_and_fold_to_the_same(database_url: str) -> None:
    pool = await open_pool(database_url, size=2)
    snapshots, segmenter, reader = postgres_segments(pool)
    long, short = uuid7(), uuid7()
    await write(pool, stored(MAPPER, long_lead(long, 1_100, backdated=0.2)))
    await write(pool, stored(MAPPER, long_lead(short, 90)))
    assert (await segmenter.advance(), await segmenter.advance()) == (1, 0)
    await write(pool, [it for it in stored(MAPPER, long_lead(long, 1_300)) if it.originator_version > 1_100])
    assert await segmenter.advance() == 1
    async with pool.connection() as connection:
        kept = await connection.execute("SELECT record_id, to_version FROM history.segments ORDER BY 2")
        assert await kept.fetchall() == [(long, version) for version in (256, 512, 768, 1024, 1280)]

    for id in (long, short):
        history = [MAPPER.to_domain_event(it) for it in await reader.events_of(id)]
        moments = [None, BEGIN, *(it.event.timestamp for it in history[40::111])]
        for bounds in [Bounds(as_of, known_at) for as_of in moments for known_at in (None, moments[-3])]:
            plain = fold(pipeline.project, id, history, as_of=bounds.as_of, known_at=bounds.known_at)
            assert await snapshots.as_of(pipeline.project, id, bounds) == plain
        versions = [it for it in (0, 1, 255, 256, 257, 1_023, 1_300) if it <= len(history)]
        rows = await snapshots.rows_at("lead", {id: versions})
        assert rows == {(id, it): fold(pipeline.project, id, history[:it]) for it in versions}
    await pool.close()


async def test_a_fold_reads_the_tail_and_what_its_times_need_not_the_whole_record() -> None:
    id = uuid7()
    history = list(long_lead(id, 10_000, backdated=0.01))
    log, segments = LogOfOne(history), MemorySegments()
    snapshots = Snapshots(segments, log, MAPPER, TABLES)
    segmenter = Segmenter(segments, snapshots, log, MAPPER, MemoryCheckpoints())
    await segmenter.complete(LEADS, id, 10_000 // 256 * 256)
    for bounds in (Bounds(), Bounds(as_of=history[5_000].event.timestamp), Bounds(known_at=BEGIN)):
        log.read.clear()
        await snapshots.as_of(pipeline.project, id, bounds)
        assert len(log.read) < 2_300  # a day has 48 events, and none is backdated further than 30 days
        assert len(log.read) >= 10_000 % 256


async def test_segments_of_another_form_of_the_program_are_no_start_and_go(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await open_pool(database_url, size=2)
    snapshots, segmenter, _ = postgres_segments(pool)
    id = uuid7()
    await write(pool, stored(MAPPER, long_lead(id, 300)))
    await segmenter.advance()
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE history.segments SET form = 'older', \"row\" = jsonb_set(\"row\", '{source}', '\"else\"')"
        )
        await connection.execute("UPDATE log.followers SET name = 'segments older'")
    row = await snapshots.as_of(pipeline.project, id, Bounds())
    assert row is not None
    assert row.source == "fair"
    assert await segmenter.advance() == 1
    async with pool.connection() as connection:
        kept = await connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE form = 'older') FROM history.segments"
        )
        assert await kept.fetchone() == (1, 0)
        names = await connection.execute("SELECT count(*) FROM log.followers WHERE name LIKE 'segments%'")
        assert await names.fetchone() == (1,)
    await pool.close()


async def test_a_kind_of_record_that_shares_its_projection_is_told_by_its_first_event() -> None:
    log = memory_log()
    (commit,) = registrations(1)
    await log.store.append(commit)
    snapshots = Snapshots(MemorySegments(), log.reader, log.mapper, TABLES)
    row = await snapshots.as_of(directory.project, commit.id, Bounds())
    assert isinstance(row, directory.CustomerRow)
    assert await snapshots.as_of(directory.project, uuid7(), Bounds()) is None
    assert await snapshots.as_of(pipeline.project, commit.id, Bounds()) is None
