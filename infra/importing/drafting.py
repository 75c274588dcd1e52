"""From rows to drafts, by a mapping."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from infra import json
from infra.importing.conversion import convert, moment
from infra.importing.drafts import Command, Draft, Names, Rejected
from infra.importing.histories import replayed
from infra.importing.mapping import Mapping, Record, Step, Value, fields_of
from infra.importing.rows import Reason, Row


@dataclass(slots=True)
class Drafting:
    """Turns rows into drafts by a mapping. What rows tell of beside themselves is drafted once."""

    mapping: Mapping
    names: Names
    now: datetime
    _beside: set[tuple[str, str]] = field(default_factory=set)

    def drafts(self, rows: Iterator[Row]) -> Iterator[Draft | Rejected]:
        """All the drafts of a file; rows of one history give one draft."""
        for key, group in groupby(rows, self._group):
            told = list(group)
            if (fault := next((it for it in told if it.fault), None)) is not None and fault.fault is not None:
                yield Rejected(fault.number, [fault.fault])
                continue
            for row in told:
                for record in self.mapping.also:
                    yield from self._once(record, row)
            yield from self._draft(self.mapping, key[1], told)

    def _group(self, row: Row) -> tuple[int, str]:
        key = self._key(self.mapping, row)
        return (0 if self.mapping.history and key else row.number, key)

    def _key(self, record: Record, row: Row) -> str:
        if record.key:
            texts = [row.values.get(column, "") for column in record.key]
            return "\0".join(texts) if any(texts) else ""
        return json.encode_ordered(row.values).decode()

    def _once(self, record: Record, row: Row) -> Iterator[Draft | Rejected]:
        key = self._key(record, row)
        if key and (record.kind, key) not in self._beside:
            self._beside.add((record.kind, key))
            yield from self._draft(record, key, [row])

    def _draft(self, record: Record, key: str, rows: Sequence[Row]) -> Iterator[Draft | Rejected]:
        row, reasons, omitted = rows[0], list[Reason](), list(rows[0].omitted)
        if not key:
            yield Rejected(
                row.number, [Reason(", ".join(record.key), "missing, and it identifies the record")]
            )
            return
        steps = [step for step in record.steps if step.applies(row.values)]
        commands = [self._command(record.kind, step, row, reasons, omitted) for step in steps]
        if isinstance(record, Mapping) and record.history:
            commands += replayed(record.history, rows, self._value, reasons)
        if reasons or not commands:
            yield Rejected(row.number, reasons or [Reason("row", "no step of the mapping applies")])
            return
        if omitted:
            yield Rejected(row.number, omitted, omitted=True)
        content = json.encode_ordered(commands)
        yield Draft(
            row.number,
            record.kind,
            self.names.id(record.kind, key),
            self._subject(record, key, row),
            self.names.command(record.kind, key),
            self.names.digest(content),
            commands,
        )

    def _subject(self, record: Record, key: str, row: Row) -> UUID:
        shared = record.subject.text(row.values) if record.subject else None
        if shared is not None and record.subject is not None and record.subject.id is not None:
            return self.names.subject(record.subject.id, shared)
        return self.names.subject(record.kind, key)

    def _command(
        self, kind: str, step: Step, row: Row, reasons: list[Reason], omitted: list[Reason]
    ) -> Command:
        at = self._value("at", step.at, row, reasons) if step.at else None
        fields: dict[str, Any] = {}
        for name, source in step.fields.items():
            if source.column is not None and source.otherwise is None and not row.values.get(source.column):
                continue  # most columns of a shipped mapping are absent from most files
            value = self._value(name, source, row, omitted if source.bad == "omit" else reasons)
            if value is not None:
                fields[name] = value
        if missing := fields_of(kind, step.do).required - fields.keys():
            refused = {reason.field for reason in (*reasons, *omitted)}
            reasons.extend(Reason(name, "missing") for name in sorted(missing - refused))
        return Command(step.do, at, fields)

    def _value(self, name: str, source: Value, row: Row, reasons: list[Reason]) -> Any:
        text = source.text(row.values)
        if text is None:
            return None
        try:
            if source.id is not None:
                return self.names.id(source.id, text)
            if name == "at":
                return self._past(moment(text, source.formats, source.zone))
            return convert(name, source, text, row.values)
        except ValueError as error:
            reasons.append(Reason(name, str(error)))
            return None

    def _past(self, at: datetime) -> datetime:
        if at > self.now:
            raise ValueError("lies in the future")
        return at
