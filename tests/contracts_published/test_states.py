"""Every state of every view, from every event that there is, is as the schema says that it names."""

from dataclasses import replace
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from domain.model import Category
from infra import json
from infra.kafka.states import State
from infra.postgres.views.tables import Table
from infra.statefeed import state_of
from infra.stateforms import SCHEMAS, STATES
from projections.timeline import kind_of
from services.ports import Standing
from tests.contracts_published.said import MAPPER, stored
from tests.domain.test_golden import NAMES

STANDS = Standing(restricted=True, erased_categories=frozenset({Category.CONTACT}))
VIEWS = pytest.mark.parametrize("table", STATES.values(), ids=lambda it: it.name)


class Places(dict[tuple[UUID, int], int]):
    """Every event lies where its version says."""

    def __missing__(self, place: tuple[UUID, int]) -> int:
        return place[1]


def states_of(table: Table[Any]) -> list[State]:
    """The record's state after each golden event of its kind. Twice over, for the first one begins it."""
    rows: dict[UUID, Any] = {}
    states = []
    mine = [it for it in NAMES if kind_of(it.partition(".v")[0]) == table.aggregate]
    for name, version in zip(mine * 2, count(1), strict=False):
        table.project(rows, MAPPER.to_domain_event(replace(stored(name), originator_version=version)))
        states += [state_of(table, row, Places(), STANDS) for row in rows.values()]
    return states


def validator(state: State) -> Draft202012Validator:
    (schema,) = [it for it in SCHEMAS.values() if it["$id"] == state.schema]
    return Draft202012Validator(schema, format_checker=FormatChecker(["uuid", "date"]))


@VIEWS
def test_a_state_is_as_the_schema_says_that_it_names_and_says_no_more(table: Table[Any]) -> None:
    Draft202012Validator.check_schema(SCHEMAS[table.name])
    states = states_of(table)
    assert states
    for it in states:
        assert it.document is not None
        document = json.decode(it.document)
        validator(it).validate(document)
        assert document.keys() == SCHEMAS[table.name]["properties"].keys()


@VIEWS
def test_a_state_without_a_member_or_with_a_clear_personal_value_is_not_valid(table: Table[Any]) -> None:
    state = states_of(table)[-1]
    assert state.document is not None
    document = json.decode(state.document)
    for name, value in document.items():
        lacking = {other: it for other, it in document.items() if other != name}
        assert not validator(state).is_valid(lacking), name
        if isinstance(value, dict):
            assert value.keys() == {"category", "position", "field"}
            assert not validator(state).is_valid(document | {name: "Maya Brandt"}), name
