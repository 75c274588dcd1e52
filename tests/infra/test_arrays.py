"""Arrays as we write them are what PostgreSQL reads."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import psycopg
import pytest

from infra import arrays


def read_back(url: str, array: arrays.Array, kind: str) -> list[object]:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT %b::{kind}[]".encode(), [array], binary=True).fetchone()
    assert row is not None
    found: list[object] = row[0]
    return found


@pytest.mark.parametrize("values", [[], [UUID(int=0), UUID(int=2**128 - 1), uuid4()]])
def test_ids_come_back(database_url: str, values: Sequence[UUID]) -> None:
    assert read_back(database_url, arrays.uuids(values), "uuid") == values


@pytest.mark.parametrize("values", [[], [0, -1, 2**63 - 1, -(2**63)]])
def test_numbers_come_back(database_url: str, values: Sequence[int]) -> None:
    assert read_back(database_url, arrays.int8s(values), "bigint") == values


@pytest.mark.parametrize("values", [[], ["", "a", 'quoted " \\ {,}', "NULL", "Zürich 😀"]])
def test_texts_come_back(database_url: str, values: Sequence[str]) -> None:
    assert read_back(database_url, arrays.texts(values), "text") == values


@pytest.mark.parametrize("values", [[], [b"", b"\0\xff", bytes(300)], [None], [b"a", None, b""]])
def test_bytes_and_their_absence_come_back(database_url: str, values: Sequence[bytes | None]) -> None:
    assert read_back(database_url, arrays.byteas(values), "bytea") == values


def test_a_number_that_is_too_big_is_refused() -> None:
    with pytest.raises(OverflowError):
        arrays.int8s([2**63])
