"""Batches come the same from this process and from one of its own."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from infra.importing.batches import BATCH, BIG_BYTES, Batch, DraftedFile, NextBatch, batches_of
from infra.importing.mapping import Join, load_mapping
from infra.importing.rows import BadFile
from tests.importing.drafted import BLIND, NOW, written

HEAD = "key,name,email,address,lawful_basis,purpose\n"


def row(number: int) -> str:
    return f"{number},Person {number},p{number}@example.com,{'High Street ' * 20},contract,sales\n"


def big(folder: Path, tail: bytes = b"") -> DraftedFile:
    rows = BIG_BYTES // len(row(0)) + BATCH
    path = written(folder, "people.csv", HEAD + "".join(map(row, range(rows))))
    path.write_bytes(path.read_bytes() + tail)
    return DraftedFile(path, load_mapping("customers"), BLIND, NOW)


async def rest(following: NextBatch) -> list[Batch]:
    found = []
    while (batch := await following()) is not None:
        found.append(batch)
    return found


async def handed_out(file: DraftedFile) -> list[Batch]:
    async with batches_of(file) as following:
        found = await rest(following)
        assert await following() is None
    return found


async def test_a_big_file_is_drafted_elsewhere_and_comes_out_the_same(tmp_path: Path) -> None:
    file = big(tmp_path)
    assert await handed_out(file) == list(file.batches())
    assert file.rows > BATCH


def test_a_file_whose_first_rows_need_all_of_it_is_not_begun_here(tmp_path: Path) -> None:
    file = DraftedFile(tmp_path / "people.csv", load_mapping("customers"), BLIND, NOW)
    joins = (Join(file="places.csv", column="place", matches="key", prefix="place."),)
    joined = replace(file, mapping=file.mapping.model_copy(update={"joins": joins}))
    cards = replace(file, path=tmp_path / "people.vcf.gz")
    assert [it.begins_at_once for it in (file, joined, cards)] == [True, False, False]


async def test_a_fault_far_down_in_a_big_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="not utf-8"):
        await handed_out(big(tmp_path, b"x,\xff\n"))


async def test_leaving_early_leaves_no_process_behind(tmp_path: Path) -> None:
    async with batches_of(big(tmp_path)) as following:
        assert await following() is not None
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()


async def test_a_drafting_process_that_dies_is_a_failure_and_not_the_end_of_the_file(tmp_path: Path) -> None:
    async with batches_of(big(tmp_path)) as following:
        await following()
        for child in multiprocessing.active_children():
            child.kill()
        with pytest.raises(BadFile, match="cut short"):
            await rest(following)
