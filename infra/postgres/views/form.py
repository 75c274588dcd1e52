"""The form of each view: which tables it has, with which columns and indexes, and what its rows mean.

What is declared here is what the program writes and reads. A view whose live tables are of another form is
built anew beside them, from these declarations.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Final, LiteralString, get_args, get_origin, get_type_hints

from psycopg import sql

from infra.postgres.views.columns import column
from infra.postgres.views.tables import TABLES, VIEWS, Table
from projections import directory, pipeline, privacy, rights, tickets, timeline
from projections.timeline import Entry

VERSIONS: Final[Mapping[str, int]] = {
    "directory": directory.VERSION,
    "pipeline": pipeline.VERSION,
    "privacy": privacy.VERSION,
    "rights": rights.VERSION,
    "tickets": tickets.VERSION,
    "timeline": timeline.VERSION,
}

INDEXES: Final[Mapping[str, Sequence[LiteralString]]] = {
    "directory.customers": (
        "(subject_id)",
        "(owner_id, id) WHERE owner_id IS NOT NULL",
        "(kind, id)",
        "(country, id) WHERE country IS NOT NULL",
        "(sector, id) WHERE sector IS NOT NULL",
        "(segment, id) WHERE segment IS NOT NULL",
        "USING gin (tags)",
        "(id) WHERE archived",
    ),
    "directory.erasures": ("(erased_subject_id)",),
    "directory.blind_index": ("(kind, digest)", "(subject_id)"),
    "pipeline.leads": (
        "(customer_id) WHERE customer_id IS NOT NULL",
        "(owner_id, id) WHERE owner_id IS NOT NULL",
        "(stage, id)",
        "(campaign, id) WHERE campaign IS NOT NULL",
        "(source, id)",
        "(product, id) WHERE product IS NOT NULL",
        "(country, id) WHERE country IS NOT NULL",
        "(currency, id) WHERE currency IS NOT NULL",
    ),
    "privacy.requests": ("(subject_id)", "(due_on) WHERE state = 'open'"),
    "rights.holds": ("USING gin (covered)",),
    "rights.consents": ("(subject_id)", "(expires_on) WHERE state = 'given' AND expires_on IS NOT NULL"),
    "tickets.tickets": (
        "(customer_id) WHERE customer_id IS NOT NULL",
        "(team, id) WHERE team IS NOT NULL",
        "(agent_id, id) WHERE agent_id IS NOT NULL",
        "(product, id) WHERE product IS NOT NULL",
        "(id) WHERE status IN ('open', 'waiting')",
    ),
    "timeline.entries": (
        "USING gin (subjects)",
        "(originator_id, position)",
        "(actor, position)",
        "(on_behalf_of, position) WHERE on_behalf_of IS NOT NULL",
        "(recorded_at, position)",
        "(occurred_at, position)",
        "(causation_id) WHERE causation_id IS NOT NULL",
    ),
}
"""Beside the primary keys. An index that a migration adds to a live table stands here, too."""

CHECKS: Final[Mapping[str, Sequence[LiteralString]]] = {
    "directory.blind_index": ("kind IN ('email', 'phone')", "octet_length(digest) = 32"),
}

SPELLED: Final[Mapping[str, str]] = {"timestamptz": "timestamp with time zone"}
"""Types as the catalogue spells them."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A column: its name, its type as the catalogue spells it, and whether it must have a value."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True, slots=True)
class TableForm:
    """One table of a view."""

    view: str
    name: str
    columns: tuple[Declared, ...]
    key: tuple[str, ...]

    def creating(self, schema: str) -> Iterator[sql.Composed]:
        """The statements that make it, empty, in this schema."""
        name, place = f"{self.view}.{self.name}", sql.Identifier(schema, self.name)
        parts = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(it.name),
                sql.SQL(it.type),  # one of a few, see columns.py
                sql.SQL(" NOT NULL" if it.required else ""),
            )
            for it in self.columns
        ]
        parts.append(sql.SQL("PRIMARY KEY ({})").format(sql.SQL(", ").join(map(sql.Identifier, self.key))))
        parts += [sql.SQL("CHECK ({})").format(sql.SQL(it)) for it in CHECKS.get(name, ())]
        yield sql.SQL("CREATE TABLE {} ({})").format(place, sql.SQL(", ").join(parts))
        for index in INDEXES.get(name, ()):
            yield sql.SQL("CREATE INDEX ON {} {}").format(place, sql.SQL(index))


@dataclass(frozen=True, slots=True)
class ViewForm:
    """A view as this program has it. `version` orders forms: a higher one follows a lower one."""

    view: str
    version: int
    tables: tuple[TableForm, ...]

    @property
    def fingerprint(self) -> str:
        """Names the form: the number, and every column."""
        columns = sorted(
            f"{table.name}.{it.name} {it.type} {it.required}" for table in self.tables for it in table.columns
        )
        return hashlib.sha256("\n".join([str(self.version), *columns]).encode()).hexdigest()[:32]


BLIND_INDEX: Final = TableForm(
    "directory",
    "blind_index",
    (
        Declared("record_id", "uuid", True),
        Declared("subject_id", "uuid", True),
        Declared("kind", "text", True),
        Declared("digest", "bytea", True),
    ),
    ("record_id", "subject_id", "kind"),
)


def forms_of(tables: Iterable[Table[Any]], versions: Mapping[str, int]) -> Mapping[str, ViewForm]:
    """The forms of all views, by name."""
    parts: dict[str, list[TableForm]] = {view: [] for view in VIEWS}
    for table in tables:
        optional = _optional(table.kind) | {"sealed"}
        columns = [
            Declared(it.name, SPELLED.get(it.type, it.type), it.name not in optional)
            for it in table.codec.columns
        ]
        parts[table.view].append(TableForm(table.view, table.name, tuple(columns), ("id",)))
    parts["directory"].append(BLIND_INDEX)
    parts["timeline"].append(_entries())
    return {view: ViewForm(view, versions[view], tuple(of_view)) for view, of_view in parts.items()}


def _entries() -> TableForm:
    optional = _optional(Entry)
    columns = [column(name, hint) for name, hint in get_type_hints(Entry).items()]
    declared = [Declared(it.name, SPELLED.get(it.type, it.type), it.name not in optional) for it in columns]
    return TableForm("timeline", "entries", tuple(declared), ("position",))


def _optional(kind: type[Any]) -> set[str]:
    """The fields that may be None."""
    hints = get_type_hints(kind)
    return {name for name, it in hints.items() if get_origin(it) is UnionType and NoneType in get_args(it)}


FORMS: Final = forms_of(TABLES, VERSIONS)
