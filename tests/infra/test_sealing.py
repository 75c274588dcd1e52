"""Boxes open in their own place, under their own key, and nowhere else."""

from base64 import b64decode, b64encode
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.model import Category
from infra.eventstore.sealing import FORM, Place, associated_data, open_box, seal
from infra.kek import fingerprint, mint
from services.ports import DataKey, Tampered

SECRET = bytes(range(32))
KEY = DataKey(fingerprint(SECRET), SECRET)
PLACE = Place("main", UUID(int=1), 1, "customer.registered", UUID(int=2), UUID(int=3), Category.IDENTITY)
FIELDS = {"name": "Zoë Ångström", "born_on": "1970-01-01"}

words = st.text(min_size=1, max_size=20)
places = st.builds(
    Place,
    namespace=words,
    originator_id=st.uuids(),
    originator_version=st.integers(1, 2**63),
    topic=words,
    event_id=st.uuids(),
    subject_id=st.uuids(),
    category=st.sampled_from(Category),
)


# McGrew and Viega, "The Galois/Counter Mode of Operation", the 256-bit test cases 13, 14 and 16.
VECTORS = [
    ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    (
        "00" * 32,
        "00" * 12,
        "00" * 16,
        "",
        "cea7403d4d606b6e074ec5d3baf39d18" "d0d1c8a799996bf0265b98b5d48ab919",
    ),
    (
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("key", "nonce", "plain", "data", "sealed"), VECTORS)
def test_the_cipher_is_the_aes_gcm_of_the_published_vectors(
    key: str, nonce: str, plain: str, data: str, sealed: str
) -> None:
    made = AESGCM(bytes.fromhex(key)).encrypt(bytes.fromhex(nonce), bytes.fromhex(plain), bytes.fromhex(data))
    assert made.hex() == sealed


def test_a_box_made_by_hand_from_the_written_form_opens() -> None:
    """The form is a promise to whoever must open a box without this program."""
    data = (
        b"lethe/box/1\0"
        + UUID(int=1).bytes + (1).to_bytes(8, "big") + UUID(int=2).bytes + UUID(int=3).bytes
        + bytes.fromhex(KEY.fingerprint)
        + (4).to_bytes(2, "big") + (19).to_bytes(2, "big") + (8).to_bytes(2, "big")
        + b"main" + b"customer.registered" + b"identity"
    )  # fmt: skip
    nonce = bytes(12)
    box = b64encode(nonce + AESGCM(SECRET).encrypt(nonce, b'{"name": "Ann"}', data)).decode()
    assert open_box(box, KEY, PLACE) == {"name": "Ann"}


@given(st.dictionaries(words, st.text(), max_size=5), places)
def test_what_is_sealed_is_what_is_opened(fields: dict[str, str], place: Place) -> None:
    assert open_box(seal(fields, KEY, place), KEY, place) == fields


def test_the_same_fields_never_make_the_same_box() -> None:
    assert len({seal(FIELDS, KEY, PLACE) for _ in range(100)}) == 100


def test_every_flipped_bit_of_a_box_is_found() -> None:
    box = seal(FIELDS, KEY, PLACE)
    raw = b64decode(box)
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Tampered):
            open_box(b64encode(flipped).decode(), KEY, PLACE)


@pytest.mark.parametrize("name", ["a", "ab", "abc"])
def test_every_flipped_bit_of_a_box_as_it_is_stored_is_found(name: str) -> None:
    """Also the bits of base64 that decoding drops: of the three lengths, two have some."""
    box = seal({"name": name}, KEY, PLACE).encode()
    for bit in range(len(box) * 8):
        flipped = bytearray(box)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Tampered):
            open_box(flipped.decode("latin-1"), KEY, PLACE)


@pytest.mark.parametrize("length", [0, 1, 11, 12, 27, 28])
def test_a_box_cut_short_is_found(length: int) -> None:
    raw = b64decode(seal(FIELDS, KEY, PLACE))
    with pytest.raises(Tampered):
        open_box(b64encode(raw[:length]).decode(), KEY, PLACE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, namespace="other"),
        replace(PLACE, originator_id=UUID(int=9)),
        replace(PLACE, originator_version=2),
        replace(PLACE, topic="customer.renamed"),
        replace(PLACE, event_id=UUID(int=9)),
        replace(PLACE, subject_id=UUID(int=9)),
        replace(PLACE, category=Category.CONTACT),
    ],
)
def test_a_box_does_not_open_anywhere_else(elsewhere: Place) -> None:
    with pytest.raises(Tampered):
        open_box(seal(FIELDS, KEY, PLACE), KEY, elsewhere)


@settings(max_examples=300)
@given(places, places)
def test_no_two_places_read_alike(one: Place, other: Place) -> None:
    assume(one != other)
    assert associated_data(one, KEY.fingerprint) != associated_data(other, KEY.fingerprint)


@given(words, words)
def test_letters_do_not_wander_between_namespace_and_topic(one: str, other: str) -> None:
    assume(one)
    here = replace(PLACE, namespace=one + other, topic=other)
    there = replace(PLACE, namespace=one, topic=other + other)
    assert associated_data(here, KEY.fingerprint) != associated_data(there, KEY.fingerprint)


def test_a_box_does_not_open_under_another_key() -> None:
    box = seal(FIELDS, KEY, PLACE)
    with pytest.raises(Tampered):
        open_box(box, mint(), PLACE)
    with pytest.raises(Tampered):
        open_box(box, DataKey(mint().fingerprint, KEY.secret), PLACE)


def test_what_a_box_says_of_itself_when_it_does_not_open_holds_no_value() -> None:
    box = seal(FIELDS, KEY, PLACE)
    with pytest.raises(Tampered) as refusal:
        open_box(box, mint(), PLACE)
    assert str(PLACE.event_id) in str(refusal.value)
    assert box not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_the_form_names_its_version() -> None:
    assert associated_data(PLACE, KEY.fingerprint).startswith(FORM)
    assert FORM == b"lethe/box/1\0"
