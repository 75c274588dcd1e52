"""The views whose states can be followed, and the form of their states."""

from collections.abc import Mapping
from typing import Any, Final

from infra.contracts.shapes import Shape
from infra.contracts.states import schema_of_state
from infra.postgres.views.form import VERSIONS
from infra.postgres.views.tables import TABLES, Table

STATES: Final[Mapping[str, Table[Any]]] = {it.name: it for it in TABLES}
"""The views, by the name that is also the end of their topic."""
SCHEMAS: Final[Mapping[str, Shape]] = {
    name: schema_of_state(name, it.kind, it.aggregate, VERSIONS[it.view]) for name, it in STATES.items()
}
"""The JSON Schema of each view's states."""
