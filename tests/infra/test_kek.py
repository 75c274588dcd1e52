"""Key-encryption keys: in a file of their own, made once, and every way in which it can be wrong."""

import asyncio
import hashlib
import os
import stat
from base64 import b64encode
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain.model import Category
from infra.kek import (
    FileKek,
    FileKekPlace,
    KekUnusable,
    data_key_place,
    fingerprint,
    mint,
    open_keks,
    system_key_place,
)


async def test_a_new_kek_is_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "kek"
    kek = await open_keks(f"file:{path}").found()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(await open_keks(f"file:{path}").all()) == [kek.id]
    assert names_in(path.parent) == ["kek"]


async def test_an_existing_kek_is_never_made_anew(tmp_path: Path) -> None:
    place = FileKekPlace(tmp_path / "kek")
    first = await place.found()
    assert (await place.found()).id == first.id
    second = await place.add()
    assert (await place.found()).id == second.id


async def test_processes_that_start_at_once_end_up_with_one_kek(tmp_path: Path) -> None:
    def start(number: int) -> str:
        return asyncio.run(FileKekPlace(tmp_path / "kek").found()).id

    ids = await asyncio.gather(*(asyncio.to_thread(start, number) for number in range(64)))
    assert len(set(ids)) == 1


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def line(secret: bytes) -> str:
    return f"lethe-kek-1:{b64encode(secret).decode()}\n"


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (None, 0o600, "is missing"),
        ("", 0o600, "holds no KEK"),
        ("lethe-kek-1:AAAA\n", 0o600, "holds no KEK"),
        ("lethe-kek-1:" + "*" * 44, 0o600, "holds no KEK"),
        ("A" * 43 + "=", 0o600, "holds no KEK"),
        (line(bytes(32)) + "\n" + line(bytes(32)), 0o600, "holds no KEK"),
        (line(bytes(32)) + "lethe-kek-1:AAAA\n", 0o600, "holds no KEK"),
        (line(bytes(32)), 0o644, "open to others"),
    ],
)
async def test_a_kek_file_that_is_not_right_is_said_in_one_line(
    tmp_path: Path, content: str | None, mode: int, words: str
) -> None:
    path = tmp_path / "kek"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(KekUnusable, match=words) as refusal:
        await open_keks(f"file:{path}").all()
    assert "\n" not in str(refusal.value)
    assert "AAAA" not in str(refusal.value)


async def test_a_folder_in_place_of_the_file_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(KekUnusable, match="cannot be used"):
        await open_keks(f"file:{tmp_path}").all()


@pytest.mark.parametrize(
    "reference",
    [
        "kms:alias/lethe",
        "file:",
        "",
        "kek",
        "vault:",
        "vault:transit/lethe",
        "vault:https://vault:8200/lethe",
        "vault:https://user:secret@vault:8200/transit/lethe",
    ],
)
def test_a_reference_without_an_adapter_is_refused(reference: str) -> None:
    with pytest.raises(KekUnusable, match="no adapter") as refusal:
        open_keks(reference)
    assert "secret" not in str(refusal.value)


def test_a_kek_in_vault_needs_a_token() -> None:
    with pytest.raises(KekUnusable, match="LETHE_VAULT_TOKEN"):
        open_keks("vault:https://vault:8200/transit/lethe")


async def test_a_destroyed_kek_is_in_no_file_any_more(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    place = FileKekPlace(path)
    first = await place.found()
    [kept_line] = path.read_text().splitlines()
    second = await place.add()
    # As if a rotation had been killed in the middle: files that hold KEKs under names of no use.
    for name in (".kek-next-x", ".kek-first-x"):
        (tmp_path / name).write_bytes(path.read_bytes())
    inode = path.open("rb")

    for _ in range(2):
        await place.destroy(first.id)

    assert list(await place.all()) == [second.id]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names_in(tmp_path) == ["kek"]
    assert kept_line.encode() not in path.read_bytes()
    with inode:
        assert set(inode.read()) == {0}, "the replaced file's bytes are overwritten"


async def test_a_first_file_with_two_names_survives_the_sweep(tmp_path: Path) -> None:
    """Killed between the two names of a new file: they are one file."""
    path = tmp_path / "kek"
    place = FileKekPlace(path)
    first = await place.found()
    os.link(path, tmp_path / ".kek-first-x")
    await place.add()
    assert first.id in await place.all()
    assert names_in(tmp_path) == ["kek"]


async def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    link = tmp_path / "kek"
    link.symlink_to(tmp_path / "secrets" / "kek")
    place = FileKekPlace(link)
    await place.found()
    await place.add()
    assert link.is_symlink()
    assert len(await place.all()) == 2


async def test_who_reads_while_the_file_is_replaced_finds_a_kek(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    await FileKekPlace(path).found()
    done = False

    def read() -> int:
        number = 0
        while not done:
            assert asyncio.run(FileKekPlace(path).all())
            number += 1
        return number

    readers = [asyncio.create_task(asyncio.to_thread(read)) for _ in range(2)]
    place = FileKekPlace(path)
    for _ in range(30):
        oldest = next(iter(await place.all()))
        await asyncio.to_thread(asyncio.run, _turn(place, oldest))
    done = True
    assert min(await asyncio.gather(*readers)) > 10


async def _turn(place: FileKekPlace, oldest: str) -> None:
    await place.add()
    await place.destroy(oldest)


async def test_a_wrapped_key_unwraps_in_its_own_place_only() -> None:
    kek, key, subject = FileKek(bytes(32)), mint(), uuid4()
    place = data_key_place("main", subject, Category.IDENTITY, key.fingerprint)
    [wrapped] = await kek.wrap([key.secret], [place])
    elsewhere = [
        data_key_place("other", subject, Category.IDENTITY, key.fingerprint),
        data_key_place("main", uuid4(), Category.IDENTITY, key.fingerprint),
        data_key_place("main", subject, Category.CONTACT, key.fingerprint),
        data_key_place("main", subject, Category.IDENTITY, mint().fingerprint),
        system_key_place("main", "blind-index", key.fingerprint),
    ]
    assert await kek.unwrap([wrapped, *[wrapped] * 5], [place, *elsewhere]) == [key.secret, *[None] * 5]


def test_the_place_of_a_wrapped_key_is_as_written_down() -> None:
    """A key store outlives the program that wrote it, so this never changes."""
    parts = [b"lethe/wrap/1", b"data", b"main", UUID(int=5).bytes, b"identity", bytes([7] * 32)]
    place = data_key_place("main", UUID(int=5), Category.IDENTITY, bytes([7] * 32).hex())
    assert place == b"".join(len(part).to_bytes(2, "big") + part for part in parts)


async def test_every_flipped_bit_of_a_wrapped_key_is_found() -> None:
    kek, key = FileKek(bytes(32)), mint()
    place = data_key_place("main", UUID(int=1), Category.IDENTITY, key.fingerprint)
    [wrapped] = await kek.wrap([key.secret], [place])
    flipped = [
        (int.from_bytes(wrapped, "big") ^ 1 << bit).to_bytes(len(wrapped), "big")
        for bit in range(len(wrapped) * 8)
    ]
    assert set(await kek.unwrap(flipped, [place] * len(flipped))) == {None}
    assert await kek.unwrap([b""], [place]) == [None]


async def test_another_kek_unwraps_nothing() -> None:
    ours, theirs = FileKek(bytes(32)), FileKek(bytes([1] * 32))
    [wrapped] = await ours.wrap([bytes(32)], [b"place"])
    assert await theirs.unwrap([wrapped], [b"place"]) == [None]
    assert ours.id != theirs.id


def test_a_fingerprint_is_of_its_own_domain_and_tells_no_key() -> None:
    assert fingerprint(bytes(32)) != hashlib.sha256(bytes(32)).hexdigest()
    assert len({mint().fingerprint for _ in range(100)}) == 100
