"""The ledger's file: every line counts, in any number of processes, and no change to it goes unseen."""

import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from infra.ledger import Kind, LedgerFile, LedgerUnfit, hash_of, verify

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WRITERS, ENTRIES = 4, 25


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger" / "erasures.jsonl"
    LedgerFile(path).begin("main", NOON)
    return path


def enter(path: Path, number: int = 1) -> list[UUID]:
    ids = [uuid4() for _ in range(number)]
    ledger = LedgerFile(path)
    for id in ids:
        ledger.enter(Kind.ERASED, id, {"subject_id": str(uuid4())})
    return ids


def test_a_new_ledger_names_its_namespace_and_is_begun_once(path: Path) -> None:
    first = path.read_bytes()
    LedgerFile(path).begin("main", NOON)
    assert path.read_bytes() == first
    assert LedgerFile(path).first()["namespace"] == "main"
    assert path.stat().st_mode & 0o077 == 0
    assert [it.name for it in path.parent.iterdir()] == [path.name]


def test_each_line_holds_the_hash_of_the_one_before(path: Path) -> None:
    ids = enter(path, 3)
    lines = [json.loads(it) for it in path.read_text().splitlines()]
    assert [it["number"] for it in lines] == [0, 1, 2, 3]
    assert [it["previous"] for it in lines[1:]] == [it["hash"] for it in lines[:-1]]
    assert all(it["hash"] == hash_of(it) for it in lines)
    assert [it["erasure_id"] for it in lines[1:]] == [str(id) for id in ids]
    verdict = verify(path)
    assert (verdict.lines, verdict.head, verdict.fault, verdict.torn) == (4, lines[-1]["hash"], None, False)


def test_an_erasure_is_entered_once_until_it_is_taken_back(path: Path) -> None:
    id, one, other = uuid4(), LedgerFile(path), LedgerFile(path)
    first = one.enter(Kind.ERASED, id, {})
    assert other.enter(Kind.ERASED, id, {}) == first
    assert one.enter(Kind.HELD, id, {}).number == 2
    assert other.enter(Kind.ERASED, id, {}).number == 3


def _write(path: Path) -> None:
    enter(path, ENTRIES)


def test_many_processes_write_one_chain(path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    writers = [context.Process(target=_write, args=(path,)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [it.exitcode for it in writers] == [0] * WRITERS
    verdict = verify(path)
    assert (verdict.lines, verdict.fault) == (1 + WRITERS * ENTRIES, None)


def test_a_line_that_a_crash_cut_short_never_counted_and_gives_way(path: Path) -> None:
    enter(path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind":"erased","erasure_id":"0')
    assert (verify(path).fault, verify(path).torn) == (None, True)
    enter(path)
    assert path.read_bytes().startswith(whole)
    assert (verify(path).lines, verify(path).fault, verify(path).torn) == (3, None, False)


def test_every_flipped_bit_is_found_in_its_line(path: Path) -> None:
    enter(path, 4)
    whole = path.read_bytes()
    starts = [0]
    for line in whole.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    flips = 0
    for place in range(0, len(whole), 5):
        changed = bytearray(whole)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        number = max(it for it, start in enumerate(starts) if start <= place)
        verdict = verify(path)
        last = number == 4 and place == len(whole) - 1  # its end gone, the last line never counted
        said = verdict.fault or ""
        assert last or f"line {number} " in said or "first line" in said, (place, verdict)
        flips += 1
    assert flips > 200


@pytest.mark.parametrize("change", ["cut", "swap", "drop"])
def test_lines_that_are_missing_or_out_of_place_are_found(path: Path, change: str) -> None:
    enter(path, 4)
    ledger = LedgerFile(path)
    ledger.enter(Kind.ERASED, uuid4(), {})
    lines = path.read_bytes().splitlines(keepends=True)
    match change:
        case "cut":
            path.write_bytes(b"".join(lines[:-1]))
        case "swap":
            path.write_bytes(b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
        case "drop":
            path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    with pytest.raises(LedgerUnfit):
        # A ledger cut at its end is whole in itself: who has seen more of it knows.
        ledger.enter(Kind.ERASED, uuid4(), {}) if change == "cut" else list(ledger.after(None))


def test_a_ledger_that_is_gone_is_never_begun_anew_by_writing_to_it(path: Path) -> None:
    path.unlink()
    with pytest.raises(LedgerUnfit, match="missing"):
        enter(path)
    assert not path.exists()
