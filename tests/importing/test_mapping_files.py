"""Mapping files are checked before a row is read."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.importing.mapping import MAPS, BadMapping, Value, load_mapping

GOOD: dict[str, Any] = {
    "about": "Members.",
    "kind": "members",
    "key": ["id"],
    "steps": [{"do": "register", "fields": {"name": "name"}}],
}


def refusal(folder: Path, **changes: Any) -> str:
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes), "utf-8")
    with pytest.raises(BadMapping) as refused:
        load_mapping(str(path))
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("path", sorted(MAPS.glob("*.yaml")), ids=lambda it: it.stem)
def test_a_shipped_mapping_is_valid_and_says_what_it_is_for(path: Path) -> None:
    assert load_mapping(path.stem).about


def test_a_mapping_can_be_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump(GOOD), "utf-8")
    assert load_mapping(str(path)).kind == "members"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BadMapping, match="bpi2013-tickets, customers"):
        load_mapping("no-such-mapping")


def test_a_name_does_not_lead_out_of_the_folder() -> None:
    with pytest.raises(BadMapping):
        load_mapping("../maps/../../settings")


def test_a_field_the_command_does_not_have_is_refused(tmp_path: Path) -> None:
    steps = [{"do": "register", "fields": {"nickname": "name"}}]
    assert "register has no field nickname" in refusal(tmp_path, steps=steps)


def test_a_command_the_aggregate_does_not_have_is_refused(tmp_path: Path) -> None:
    steps = [*GOOD["steps"], {"do": "promote"}]
    assert "members have no command promote" in refusal(tmp_path, steps=steps)


@pytest.mark.parametrize("verb", ["evolve", "trigger_event", "collect_events", "_create"])
def test_the_machinery_of_an_aggregate_is_no_command(tmp_path: Path, verb: str) -> None:
    assert "no command" in refusal(tmp_path, steps=[*GOOD["steps"], {"do": verb}])


def test_a_record_begins_with_its_creation(tmp_path: Path) -> None:
    assert "first step of members is register" in refusal(tmp_path, steps=[{"do": "leave"}])


def test_a_misspelt_setting_is_refused_and_named(tmp_path: Path) -> None:
    assert "colums_may_be_absent" in refusal(tmp_path, colums_may_be_absent=True)


def test_a_bare_no_in_yaml_is_not_taken_for_norway(tmp_path: Path) -> None:
    steps = [{"do": "register", "fields": {"name": {"column": "name", "map": {"Norway": False}}}}]
    assert "Norway" in refusal(tmp_path, steps=steps)


def test_a_value_has_one_source(tmp_path: Path) -> None:
    steps = [{"do": "register", "fields": {"name": {"column": "name", "value": "x"}}}]
    assert "exactly one of column, columns, value" in refusal(tmp_path, steps=steps)


@pytest.mark.parametrize(
    ("source", "row", "text"),
    [
        ({"column": "a"}, {"a": "x"}, "x"),
        ({"column": "a"}, {"a": ""}, None),
        ({"column": "a", "otherwise": "y"}, {}, "y"),
        ({"column": "a", "map": {"x": "z"}}, {"a": "x"}, "z"),
        ({"column": "a", "map": {"0": None}}, {"a": "0"}, None),
        ({"column": "a", "endings": {"3rd": "third"}, "otherwise": "first"}, {"a": "V1 2nd 3rd"}, "third"),
        ({"column": "a", "endings": {"3rd": "third"}, "otherwise": "first"}, {"a": "V1"}, "first"),
        ({"columns": ["a", "b"], "joined_by": " "}, {"a": "x", "b": "y"}, "x y"),
        ({"columns": ["a", "b"], "joined_by": " "}, {"a": "", "b": ""}, None),
        ({"columns": ["a", "b"]}, {"a": "", "b": "y"}, "y"),
        ({"column": "a", "case": "title"}, {"a": "mary anne"}, "Mary Anne"),
        ({"value": "USD"}, {}, "USD"),
    ],
)
def test_a_value_is_found_as_the_mapping_says(
    source: dict[str, Any], row: dict[str, str], text: str | None
) -> None:
    assert Value.model_validate(source).text(row) == text
