"""CSV, NDJSON and their quirks become rows of text."""

import gzip
from pathlib import Path

import pytest

from infra.importing.mapping import Mapping, load_mapping
from infra.importing.rows import BadFile, Reason, read, size_of
from tests.importing.drafted import written

OPEN = load_mapping("customers")
EXACT = OPEN.model_copy(update={"columns_may_be_absent": False})


def values(path: Path, mapping: Mapping = OPEN) -> list[dict[str, str]]:
    return [row.values for row in read(path, mapping)]


def test_a_byte_order_mark_and_padded_cells_are_not_part_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes("\ufeffkey, name\r\n1,  Zoë \r\n".encode())
    assert values(path) == [{"key": "1", "name": "Zoë"}]


def test_a_quoted_cell_may_hold_commas_and_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "people.csv", 'key,address\n1,"High Street 1, left\nLondon"\n')
    assert values(path) == [{"key": "1", "address": "High Street 1, left\nLondon"}]


def test_a_gzipped_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "people.csv.gz"
    path.write_bytes(gzip.compress(b"key,name\n1,Ada\n"))
    assert values(path) == [{"key": "1", "name": "Ada"}]
    assert size_of(path) == 2


def test_a_row_of_another_width_is_a_fault_and_the_next_one_is_read(tmp_path: Path) -> None:
    first, second = read(written(tmp_path, "people.csv", "key,name\n1,Ada,Lovelace\n2,Alan\n"), OPEN)
    assert first.fault == Reason("row", "has 3 cells where the header has 2")
    assert (second.number, second.values) == (2, {"key": "2", "name": "Alan"})


def test_a_column_that_the_mapping_reads_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="no column address, born_on"):
        list(read(written(tmp_path, "people.csv", "key,name\n"), EXACT))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="same name"):
        list(read(written(tmp_path, "people.csv", "key,key\n"), OPEN))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("people.csv", b"key,name\n1,\xff\n"),
        ("people.csv", b'key,name\n1,"Ada\n'),
        ("people.csv.gz", b"no gzip"),
        ("people.xlsx", b""),
    ],
    ids=["not UTF-8", "an open quote", "not gzip", "an unknown kind"],
)
def test_an_unreadable_file_is_refused_in_one_line_without_its_content(
    tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadFile) as refusal:
        list(read(tmp_path / name, OPEN))
    assert "\n" not in str(refusal.value)
    assert "Ada" not in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No such file"):
        list(read(tmp_path / "people.csv", OPEN))


def test_json_documents_are_flattened_and_numbers_stay_exact(tmp_path: Path) -> None:
    text = '{"key": 1, "address": {"city": "Rome"}, "tags": ["a", "b"], "value": 0.10, "email": null}\n'
    assert values(written(tmp_path, "people.ndjson", text)) == [
        {"key": "1", "address.city": "Rome", "tags": "a;b", "value": "0.10"}
    ]


@pytest.mark.parametrize(
    "line", ["[1]", "{", '{"name": "\\ud800"}'], ids=["array", "cut off", "lone surrogate"]
)
def test_a_line_that_is_no_json_object_is_a_fault_of_its_own(tmp_path: Path, line: str) -> None:
    first, second = read(written(tmp_path, "people.jsonl", f'{line}\n{{"key": "2"}}\n'), OPEN)
    assert first.fault == Reason("row", "is not a JSON object")
    assert second.values == {"key": "2"}


def test_a_joined_file_adds_its_columns_under_a_prefix(tmp_path: Path) -> None:
    written(tmp_path, "accounts.csv", "account,office_location\nIsdom,Kenya\n")
    path = written(
        tmp_path,
        "sales.csv",
        "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n"
        "1,Ada,MG,Isdom,Won,,,\n2,Ada,MG,,Won,,,\n",
    )
    first, second = values(path, load_mapping("maven-leads"))
    assert first["account.office_location"] == "Kenya"
    assert "account.office_location" not in second
