"""The trees in PostgreSQL: they follow their logs, one process at a time, and never sign a fork."""

import asyncio
import shutil
from pathlib import Path

import psycopg
import pytest

from infra.audit.growing import Growth
from infra.audit.lease import AdvisoryLease
from infra.audit.leaves import EventSource, access_leaf
from infra.audit.merkle import EMPTY_ROOT, Frontier, leaf_hash, verify_consistency, verify_inclusion
from infra.audit.note import verify_checkpoint
from infra.audit.sequencer import LOCKS
from infra.audit.tree import NotInTree
from infra.eventstore.reader import FencedReader
from services.ports import Unavailable
from tests.audit.trees import append, at_fault, execute, grove, grown, plain_root, sequencing, signed
from tests.streams import Writers, logged


async def test_a_tree_has_a_leaf_for_each_event_in_log_order(database_url: str, tmp_path: Path) -> None:
    append(database_url, 999)
    async with grove(database_url, tmp_path) as it:
        assert (await it.tree.size(), await it.tree.root()) == (0, EMPTY_ROOT)
        async with sequencing(it):
            await grown(it, 999)
        assert await it.tree.root() == plain_root(database_url)
        assert await it.tree.root(600) == plain_root(database_url, 600)
        assert (await it.tree.state()).fault is None


async def test_events_are_proved_by_position(database_url: str, tmp_path: Path) -> None:
    append(database_url, 900)
    execute(database_url, "DELETE FROM log.events WHERE position IN (1, 2, 300, 897)")  # as if never stored
    async with grove(database_url, tmp_path) as it, sequencing(it):
        await grown(it, 896)
        root = await it.tree.root()
        for index, event in enumerate(logged(database_url)):
            assert await it.tree.index_of(event.id) == index
            assert await it.tree.position_of(index) == event.id
            if index % 50 == 0 or index > 890:
                proof = await it.tree.inclusion(event.id)
                assert (proof.index, proof.root) == (index, root)
                verify_inclusion(index, 896, proof.leaf, proof.hashes, root)
        for position in (1, 2, 300, 897, 901):
            with pytest.raises(NotInTree):
                await it.tree.inclusion(position)
        with pytest.raises(NotInTree):
            await it.tree.inclusion(700, size=600)


async def test_a_tree_that_grew_is_proved_to_continue_what_it_was(database_url: str, tmp_path: Path) -> None:
    async with grove(database_url, tmp_path) as it, sequencing(it):
        for count in (3, 300, 600):
            append(database_url, count)
            await grown(it, count)
        size = await it.tree.size()
        for old in (1, 3, 256, 303, size):
            proof = await it.tree.consistency(old)
            verify_consistency(old, size, proof.old_root, proof.new_root, proof.hashes)
            assert proof.old_root == plain_root(database_url, old)
        for old, new in ((0, size), (2, 1), (1, size + 1)):
            with pytest.raises(NotInTree):
                await it.tree.consistency(old, new)


async def test_writers_that_overtake_each_other_are_all_in_the_tree(
    database_url: str, tmp_path: Path
) -> None:
    writers, stop = Writers(database_url), asyncio.Event()
    async with grove(database_url, tmp_path) as it, sequencing(it):
        writing = asyncio.create_task(writers.run(stop))
        await grown(it, 500)
        stop.set()
        await writing
        await grown(it, writers.appended)
        assert await it.tree.root() == plain_root(database_url)


async def test_one_sequences_and_the_other_takes_over(database_url: str, tmp_path: Path) -> None:
    append(database_url, 300)
    async with grove(database_url, tmp_path) as one, grove(database_url, tmp_path) as other:
        async with sequencing(one):
            await grown(one, 300)
            async with sequencing(other):
                await asyncio.sleep(1.5)  # it asks for the lease and stands by
                append(database_url, 300)
                await grown(one, 600)
        async with sequencing(other):
            append(database_url, 300)
            await grown(other, 900)
        assert await other.tree.root() == plain_root(database_url)
        assert (await other.tree.state()).fault is None


async def test_nobody_else_can_lead_while_one_does(database_url: str, tmp_path: Path) -> None:
    append(database_url, 300)
    another = AdvisoryLease(database_url, "another", LOCKS["log"])
    try:
        async with grove(database_url, tmp_path) as it:
            async with sequencing(it):
                await grown(it, 300)
                assert not await another.acquire()
            async with asyncio.timeout(10):
                while not await another.acquire():  # noqa: ASYNC110 - the server takes its time
                    await asyncio.sleep(0.05)
    finally:
        await another.release()


async def test_one_that_was_overtaken_cannot_move_the_tree(database_url: str, tmp_path: Path) -> None:
    append(database_url, 600)
    async with grove(database_url, tmp_path) as it, it.pool.connection() as connection:
        source = EventSource(FencedReader(it.pool))
        ahead, behind = Growth(source), Growth(source)
        await behind.load(connection)
        await ahead.load(connection)
        assert await ahead.take(connection, 600)
        with pytest.raises(Unavailable, match="another process"):
            await behind.take(connection, 300)
        assert await it.tree.size() == 600
        assert await it.tree.root() == plain_root(database_url)


async def test_a_tree_whose_connection_is_cut_goes_on(database_url: str, tmp_path: Path) -> None:
    async with grove(database_url, tmp_path) as it, sequencing(it):
        for round_ in range(3):
            append(database_url, 300)
            await grown(it, 300 * (round_ + 1))
            execute(
                database_url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'lethe log sequencer'",
            )
        append(database_url, 300)
        await grown(it, 1200)
        assert await it.tree.root() == plain_root(database_url)


async def test_checkpoints_are_signed_and_leave_the_machine(database_url: str, tmp_path: Path) -> None:
    async with grove(database_url, tmp_path) as it, sequencing(it):
        append(database_url, 300)
        await signed(it, 300)
        append(database_url, 300)
        await signed(it, 600)
        stored = await it.checkpoints.below(10**9, 100)
    files = sorted(tmp_path.joinpath("log").glob("0*"))
    assert [path.name for path in files] == [f"{one.size:020d}" for one in reversed(stored)]
    assert {one.size for one in stored} >= {300, 600}
    for path, one in zip(files, reversed(stored), strict=True):
        found = verify_checkpoint(path.read_text(), it.signer.vkey)
        assert (found.origin, found.size) == ("lethe/main/log", one.size)
        assert found.root == one.root == plain_root(database_url, one.size)
    assert tmp_path.joinpath("log/latest").read_text() == files[-1].read_text()


async def test_what_a_crash_left_out_of_the_folder_is_written_later(
    database_url: str, tmp_path: Path
) -> None:
    for size in (300, 600):
        async with grove(database_url, tmp_path) as it, sequencing(it):
            append(database_url, 300)
            await signed(it, size)
    written = {path.name: path.read_text() for path in tmp_path.joinpath("log").iterdir()}
    shutil.rmtree(tmp_path / "log")
    async with grove(database_url, tmp_path) as it, sequencing(it):
        await signed(it, 600)
    assert {path.name: path.read_text() for path in tmp_path.joinpath("log").iterdir()} == written


async def test_a_checkpoint_is_waited_for_that_covers_a_position(database_url: str, tmp_path: Path) -> None:
    append(database_url, 300)
    async with grove(database_url, tmp_path) as it:
        assert await it.tree.covered(300, 0.1) is None
        async with sequencing(it):
            found = await it.tree.covered(300, 20)
    assert found is not None
    assert found.size == 300


async def _signed_once(url: str, folder: Path, count: int) -> None:
    async with grove(url, folder) as it, sequencing(it):
        append(url, count)
        await signed(it, count)


async def test_a_restored_log_behind_its_checkpoints_is_not_signed(database_url: str, tmp_path: Path) -> None:
    await _signed_once(database_url, tmp_path, 600)
    execute(database_url, "DELETE FROM log.events WHERE position > 300")
    execute(database_url, "TRUNCATE audit.trees, audit.tiles, audit.checkpoints")
    async with grove(database_url, tmp_path) as it, sequencing(it):
        state = await at_fault(it)
    assert state.fault == "the log has shrunk: signed at 600 leaves, there are 300"


async def test_a_tree_that_is_thrown_away_is_made_anew_and_held_against_what_was_signed(
    database_url: str, tmp_path: Path
) -> None:
    await _signed_once(database_url, tmp_path, 600)
    execute(database_url, "TRUNCATE audit.trees, audit.tiles")
    async with grove(database_url, tmp_path) as it, sequencing(it):
        append(database_url, 300)
        await signed(it, 900)
        assert await it.tree.root() == plain_root(database_url)
        assert (await it.tree.state()).fault is None


async def test_a_restored_log_that_went_another_way_is_not_signed(database_url: str, tmp_path: Path) -> None:
    await _signed_once(database_url, tmp_path / "lost", 600)
    execute(database_url, "TRUNCATE audit.trees, audit.tiles, audit.checkpoints")
    execute(database_url, "UPDATE log.events SET topic = 'lead.won' WHERE position = 450")
    await _signed_once(database_url, tmp_path / "kept", 900)
    async with grove(database_url, tmp_path / "lost") as it, sequencing(it):
        state = await at_fault(it)
        assert state.fault == "the log has forked: its first 600 leaves are not those that were signed"
        await asyncio.sleep(0.3)
        published = await asyncio.to_thread(it.folder.latest)
    assert published is not None
    assert published.size == 600


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ("UPDATE audit.tiles SET hashes = set_byte(hashes, 5, 1) WHERE level = 1", "do not lead to its root"),
        ("DELETE FROM audit.tiles WHERE level = 1", "missing or damaged"),
        ("UPDATE log.events SET state = state || ' ' WHERE position = 600", "not those that the tree"),
        ("DELETE FROM log.events WHERE position >= 595", "lacks events"),
        ("UPDATE audit.trees SET root = sha256('')", "do not lead to its root"),
        ("UPDATE audit.checkpoints SET root = sha256('')", "forked"),
    ],
)
async def test_what_was_changed_behind_its_back_stops_a_tree(
    database_url: str, tmp_path: Path, damage: str, fault: str
) -> None:
    await _signed_once(database_url, tmp_path, 600)
    execute(database_url, damage)
    async with grove(database_url, tmp_path) as it, sequencing(it):
        assert fault in str((await at_fault(it)).fault)
        append(database_url, 3)
        await asyncio.sleep(0.3)
        assert await it.tree.size() == 600


async def test_a_folder_that_holds_something_else_stops_a_tree_until_it_is_mended(
    database_url: str, tmp_path: Path
) -> None:
    await _signed_once(database_url, tmp_path, 300)
    latest = tmp_path / "log" / "latest"
    right = latest.read_text()
    latest.write_text(right.replace("300", "301"))
    async with grove(database_url, tmp_path) as it, sequencing(it):
        assert "not this log's" in str((await at_fault(it)).fault)
        latest.write_text(right)
        append(database_url, 300)
        await signed(it, 600)
        assert (await it.tree.state()).fault is None


async def test_the_access_log_has_a_tree_of_its_own_that_outlives_pruning(
    database_url: str, tmp_path: Path
) -> None:
    bodies = [b'{"batch":%d}\n' % number for number in range(300)]
    with psycopg.connect(database_url) as connection:
        for body in bodies:
            connection.execute(
                "SELECT access.append(gen_random_uuid(), now(), now(), 1, %s, %s, '{}', '{}')",
                [leaf_hash(access_leaf(body)), body],
            )
    execute(database_url, "UPDATE access.batches SET body = NULL WHERE number < 50")
    plain = Frontier()
    for body in bodies:
        plain.append(leaf_hash(access_leaf(body)))
    async with grove(database_url, tmp_path, log="access") as it, sequencing(it):
        await signed(it, 300)
        assert await it.tree.root() == plain.root()
        proof = await it.tree.inclusion(270)
        verify_inclusion(269, 300, leaf_hash(access_leaf(bodies[269])), proof.hashes, plain.root())
        assert verify_checkpoint((tmp_path / "access/latest").read_text(), it.signer.vkey).size == 300


async def test_an_access_batch_that_is_not_what_its_hash_says_stops_the_tree(
    database_url: str, tmp_path: Path
) -> None:
    execute(
        database_url,
        "SELECT access.append(gen_random_uuid(), now(), now(), 1, sha256('another'), 'body', '{}', '{}')",
    )
    async with grove(database_url, tmp_path, log="access") as it, sequencing(it):
        state = await at_fault(it)
    assert state.fault == "access batch 1 is not what its hash says"
    assert state.size == 0
