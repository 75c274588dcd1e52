"""Mapping files: how the rows of a foreign file become commands. Documented by the examples in `maps/`."""

import inspect
import typing
from collections.abc import Mapping as Dictionary
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from domain.customer.aggregate import Customer
from domain.lead.aggregate import Lead
from domain.member.aggregate import Member
from domain.model import Aggregate
from domain.ticket.aggregate import Ticket
from domain.values import TicketStatus

MAPS = Path(__file__).with_name("maps")
AGGREGATES: Dictionary[str, type[Aggregate]] = {
    "customers": Customer,
    "leads": Lead,
    "members": Member,
    "tickets": Ticket,
}
CREATES = {"customers": "register", "leads": "capture", "members": "register", "tickets": "open"}
GIVEN = frozenset({"self", "id", "subject_id"})
Kind = Literal["customers", "leads", "members", "tickets"]
Named = Literal["customers", "leads", "members", "tickets", "contacts"]


class BadMapping(Exception):
    """The mapping file cannot be used. The text is one line that names the place and the rule."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _column(given: Any) -> Any:
    return {"column": given} if isinstance(given, str) else given


class Value(Part):
    """Where one field's value comes from. A plain string names a column.

    `columns` takes the first that is not blank, or all of them where `joined_by` says how. `map` and
    `endings` (the first ending that fits) replace what was found; null there means no value. `otherwise`
    stands where there is none. A value that breaks its field's rule rejects the row, or with `bad: omit`
    only the field is left out; both are written into the file of rejected rows.
    """

    column: str | None = None
    columns: tuple[str, ...] = ()
    joined_by: str | None = None
    value: str | None = None
    map: dict[str, str | None] = {}
    endings: dict[str, str | None] = {}
    otherwise: str | None = None
    case: Literal["title", "lower", "upper"] | None = None
    id: Named | None = Field(
        None, description="The value is the source key of such a record: its id is meant."
    )
    formats: tuple[str, ...] = Field((), description="strptime formats; absent: ISO 8601.")
    zone: str = Field("UTC", description="IANA time zone of times that name none.")
    currency: Annotated["Value | None", BeforeValidator(_column)] = None
    region: str | None = Field(None, description="Country of phone numbers that are without a country code.")
    bad: Literal["refuse", "omit"] = "refuse"

    @model_validator(mode="after")
    def _has_one_source(self) -> "Value":
        if (self.column is not None) + bool(self.columns) + (self.value is not None) != 1:
            raise ValueError("needs exactly one of column, columns, value")
        return self

    @cached_property
    def bare(self) -> bool:
        """Whether it is a column's text as it stands."""
        return self.column is not None and not (self.map or self.endings or self.case)

    def reads(self) -> set[str]:
        """The columns it needs."""
        own = {self.column} if self.column is not None else set(self.columns)
        return own | (self.currency.reads() if self.currency else set())

    def text(self, row: Dictionary[str, str]) -> str | None:
        """The text found in the row; None where there is none."""
        if self.bare:
            return row.get(self.column or "") or self.otherwise
        if (found := self._found(row)) is not None:
            if self.map:
                found = self.map.get(found, found)
            if self.endings and found is not None:
                found = next((it for end, it in self.endings.items() if found.endswith(end)), None)
        if not found:
            return self.otherwise
        return getattr(found, self.case)() if self.case else found

    def _found(self, row: Dictionary[str, str]) -> str | None:
        if self.column is not None:
            return row.get(self.column) or None
        if self.value is not None:
            return self.value
        present = [text for it in self.columns if (text := row.get(it))]
        if self.joined_by is not None:
            return self.joined_by.join(present) or None
        return present[0] if present else None


Source = Annotated[Value, BeforeValidator(_column)]
Condition = tuple[str, ...] | Literal["present", "absent"]


class Step(Part):
    """One command: the verb, when it happened, its fields, and which rows call for it.

    Without `at`, or where that is blank, it happened when the first step did, and that one happens now.
    """

    do: str
    at: Source | None = None
    when: dict[str, Condition] = {}
    fields: dict[str, Source] = {}

    def applies(self, row: Dictionary[str, str]) -> bool:
        """Whether the row calls for it: every condition holds."""
        for column, wanted in self.when.items():  # noqa: SIM110 - all() takes three times as long
            if not _holds(row.get(column) or "", wanted):
                return False
        return True


def _holds(text: str, wanted: Condition) -> bool:
    if isinstance(wanted, str):
        return bool(text) is (wanted == "present")
    return text in wanted


class Record(Part):
    """One record that a row tells of. `key` are the columns that identify it (none: the whole row).

    `subject` names the record whose data subject this one shares; absent or blank: one of its own.
    """

    kind: Kind
    key: tuple[str, ...] = ()
    subject: Source | None = None
    steps: tuple[Step, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _calls_commands_that_exist(self) -> "Record":
        if self.steps[0].do != CREATES[self.kind]:
            raise ValueError(f"the first step of {self.kind} is {CREATES[self.kind]}")
        for step in self.steps:
            known = fields_of(self.kind, step.do).known
            if unknown := sorted(set(step.fields) - known):
                raise ValueError(
                    f"{step.do} has no field {', '.join(unknown)}; it has {', '.join(sorted(known))}"
                )
        return self


class Meaning(Part):
    """What a foreign status says: the ticket is then so, under this activity's code.

    `queued`: the owner named beside it does not work on it; it waits in the team's queue.
    """

    status: TicketStatus = Field(alias="is")
    activity: str
    queued: bool = False


class History(Part):
    """A file with one row a status change: the rows of a ticket stand together, in their order."""

    at: Source
    team: Source
    agent: Source | None = None
    line: Source | None = None
    status: Source
    meanings: dict[str, Meaning]


class Join(Part):
    """A further file beside the imported one, whose columns are added as `prefix` + name."""

    file: str
    column: str
    matches: str
    prefix: str


class Mapping(Record):
    """A mapping file. `realm` keeps the keys of sources apart; `also` are records told of beside."""

    about: str
    realm: str = ""
    encoding: str = "utf-8-sig"
    columns_may_be_absent: bool = False
    joins: tuple[Join, ...] = ()
    history: History | None = None
    also: tuple[Record, ...] = ()

    def reads(self) -> set[str]:
        """Every column it needs."""
        values = [it for record in (self, *self.also) for step in record.steps for it in step.fields.values()]
        values += [it.at for record in (self, *self.also) for it in record.steps if it.at]
        if self.history:
            parts = (
                self.history.at,
                self.history.team,
                self.history.agent,
                self.history.line,
                self.history.status,
            )
            values += [it for it in parts if it]
        values += [it.subject for it in (self, *self.also) if it.subject]
        keys = {column for record in (self, *self.also) for column in record.key}
        conditions = {
            column for record in (self, *self.also) for step in record.steps for column in step.when
        }
        return keys | conditions | {column for value in values for column in value.reads()}


class Fields(NamedTuple):
    """The fields of a command: all, and those it cannot do without."""

    known: frozenset[str]
    required: frozenset[str]


@cache
def fields_of(kind: str, verb: str) -> Fields:
    """The fields of a command. Raises `ValueError` where the aggregate has no such command."""
    command = getattr(AGGREGATES[kind], verb, None)
    if verb.startswith("_") or verb in ("evolve", "trigger_event", "collect_events") or not callable(command):
        raise ValueError(f"{kind} have no command {verb}")
    facts = typing.get_type_hints(command).get("facts")
    if facts is not None:
        (named,) = typing.get_args(facts)
        return Fields(named.__required_keys__ | named.__optional_keys__, named.__required_keys__)
    parameters = [it for name, it in inspect.signature(command).parameters.items() if name not in GIVEN]
    required = frozenset(it.name for it in parameters if it.default is inspect.Parameter.empty)
    return Fields(frozenset(it.name for it in parameters), required)


def load_mapping(name: str) -> Mapping:
    """The mapping of that name in `maps/`, or in the file of that path. Raises `BadMapping`."""
    # Here: every command knows of mappings, and few load one.
    import yaml

    shipped = MAPS / f"{name}.yaml"
    path = shipped if shipped.parent == MAPS and shipped.is_file() else Path(name)
    try:
        return Mapping.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(it.stem for it in MAPS.glob("*.yaml")))
        raise BadMapping(
            f"{name}: no readable mapping file, and none of the shipped ones: {known}"
        ) from error
    except yaml.YAMLError as error:
        raise BadMapping(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(it) for it in first["loc"]) or "mapping"
        raise BadMapping(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}") from error
