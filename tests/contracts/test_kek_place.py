"""What holds for every place of KEKs: the file, Vault, and their twin in memory.

Vault is a small server that keeps to its documented API. The real one is tried too where VAULT_ADDR and
VAULT_TOKEN name one with a Transit engine at `transit`; where they do not, that is skipped, always: it is
the one thing that no machine of ours can be asked to have.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from infra.kek import FileKekPlace, KekPlace, KekUnusable
from infra.kek.vault import BATCH_MAX, VaultKekPlace
from infra.memory.kek import MemoryKekPlace
from infra.postgres.database import open_pool
from infra.postgres.keystore import key_ring_at
from infra.rotation import Rotation
from services.ports import Unavailable
from tests.fakevault import FakeVault, Key, serving
from tests.infra.test_rotation import Sealed, Store, names

SECRETS = [bytes([number] * 32) for number in range(3)]
PLACES = [b"here", b"there", b"\0elsewhere\xff"]


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with serving() as server:
        yield server


@pytest.fixture(params=["file", "memory", "vault", "real vault"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> KekPlace:
    match request.param:
        case "file":
            return FileKekPlace(tmp_path / "kek")
        case "memory":
            return MemoryKekPlace()
        case "vault":
            return at(request.getfixturevalue("vault"))
    address, token = os.environ.get("VAULT_ADDR"), os.environ.get("VAULT_TOKEN")
    if not address or not token:
        pytest.skip("VAULT_ADDR and VAULT_TOKEN name no real Vault")
    return VaultKekPlace(f"{address}/transit/lethe-test-{uuid4().hex[:8]}", token)


def at(vault: FakeVault, *, token: str | None = None, key: str = "lethe") -> VaultKekPlace:
    return VaultKekPlace(f"{vault.address}/transit/{key}", token or vault.token)


async def test_what_is_wrapped_opens_in_its_own_place_only(place: KekPlace) -> None:
    kek = await place.found()
    wrapped = await kek.wrap(SECRETS, PLACES)
    assert await kek.unwrap(wrapped, PLACES) == SECRETS
    assert await kek.unwrap(wrapped, PLACES[::-1]) == [None, SECRETS[1], None]
    assert await kek.unwrap([*wrapped[:1], b"", b"vault:v1:", bytes(60)], [PLACES[0]] * 4) == [
        SECRETS[0],
        None,
        None,
        None,
    ]
    assert list(await kek.unwrap([], [])) == []
    assert list(await kek.wrap([], [])) == []


async def test_every_wrapping_is_another(place: KekPlace) -> None:
    kek = await place.found()
    assert len(set(await kek.wrap(SECRETS[:1] * 5, PLACES[:1] * 5))) == 5


async def test_a_place_without_a_kek_says_so_and_founding_is_done_once(place: KekPlace) -> None:
    with pytest.raises(KekUnusable):
        await place.all()
    kek = await place.found()
    assert (await place.found()).id == kek.id
    assert list(await place.all()) == [kek.id]


async def test_the_newest_kek_comes_last_and_each_opens_its_own(place: KekPlace) -> None:
    first = await place.found()
    [early] = await first.wrap(SECRETS[:1], PLACES[:1])
    second = await place.add()
    [late] = await second.wrap(SECRETS[:1], PLACES[:1])
    [still] = await first.wrap(SECRETS[:1], PLACES[:1])
    keks = await place.all()
    assert list(keks) == [first.id, second.id]
    assert (await place.found()).id == second.id
    for kek, ours, theirs in ((keks[first.id], [early, still], late), (keks[second.id], [late], early)):
        for box in ours:
            assert await kek.unwrap([box], PLACES[:1]) == SECRETS[:1]
        assert await kek.unwrap([theirs], PLACES[:1]) == [None]


async def test_a_destroyed_kek_is_gone_for_good(place: KekPlace) -> None:
    first = await place.found()
    second = await place.add()
    wrapped = await second.wrap(SECRETS, PLACES)
    for _ in range(2):
        await place.destroy(first.id)
    assert list(await place.all()) == [second.id]
    assert await (await place.all())[second.id].unwrap(wrapped, PLACES) == SECRETS
    third = await place.add()
    await place.destroy(second.id)
    assert list(await place.all()) == [third.id]


async def test_the_newest_kek_is_not_destroyed(place: KekPlace) -> None:
    kek = await place.found()
    with pytest.raises(KekUnusable, match="not destroyed"):
        await place.destroy(kek.id)
    assert list(await place.all()) == [kek.id]


async def test_many_keys_are_wrapped_at_once(place: KekPlace) -> None:
    kek = await place.found()
    number = 2 * BATCH_MAX + 500
    secrets, places = [os.urandom(32) for _ in range(number)], [b"%d" % it for it in range(number)]
    wrapped = list(await kek.wrap(secrets, places))
    wrapped[700] = wrapped[701]
    opened = await kek.unwrap(wrapped, places)
    assert opened[700] is None
    assert opened[:700] == secrets[:700]
    assert opened[701:] == secrets[701:]


async def test_a_version_of_vault_that_is_trimmed_opens_nothing(vault: FakeVault) -> None:
    place = at(vault)
    first = await place.found()
    wrapped = await first.wrap(SECRETS, PLACES)
    await place.add()
    assert await first.unwrap(wrapped, PLACES) == SECRETS
    await place.destroy(first.id)
    assert await first.unwrap(wrapped, PLACES) == [None] * 3
    assert list(vault.keys["lethe"].versions) == [2]
    with pytest.raises(KekUnusable, match="does not encrypt"):
        await first.wrap(SECRETS, PLACES)


async def test_a_vault_that_is_away_or_sealed_is_unavailable(vault: FakeVault) -> None:
    place = at(vault)
    kek = await place.found()
    vault.sealed = True
    for ask in (place.all(), kek.wrap(SECRETS, PLACES), kek.unwrap([b"vault:v1:AAAA"], PLACES[:1])):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await ask
    with pytest.raises(Unavailable):
        await VaultKekPlace("http://127.0.0.1:1/transit/lethe", vault.token).all()


async def test_a_wrong_token_or_key_is_said_in_one_line_without_the_token(vault: FakeVault) -> None:
    await at(vault).found()
    vault.keys["derived"] = Key("aes256-gcm96", derived=True)
    vault.keys["rsa"] = Key("rsa-4096", derived=False)
    for place, words in (
        (at(vault, token="hvs.wrong"), "closed to this token"),
        (at(vault, key="other"), "is missing"),
        (at(vault, key="derived"), "not derived"),
        (at(vault, key="rsa"), "of the kind rsa-4096"),
    ):
        with pytest.raises(KekUnusable, match=words) as refusal:
            await place.all()
        assert "hvs." not in str(refusal.value)
        assert "\n" not in str(refusal.value)


async def test_a_key_store_rotates_in_vault(vault: FakeVault, database_url: str) -> None:
    place, pool = at(vault), await open_pool(database_url, size=4)
    try:
        store = Store(database_url, place, pool, await key_ring_at(pool, place, namespace="main"), Sealed())
        wanted = names(20)
        keys = await store.mint(*wanted)
        report = await Rotation(database_url, place, store.sealer, "main").run()
        assert (report.kek_id, report.keys) == ("vault-transit/lethe-v2", 40)
        assert list(vault.keys["lethe"].versions) == [2]
        assert await (await store.another_ring()).fetch(wanted) == keys
        assert await store.mint(*names(1))
    finally:
        await pool.close()
