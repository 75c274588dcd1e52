"""Histories: the rows of one ticket, each a foreign status change, as our commands."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.values import SupportLine, TicketStatus
from infra.importing.drafts import Command
from infra.importing.mapping import History, Meaning, Value
from infra.importing.rows import Reason, Row

DONE = (TicketStatus.RESOLVED, TicketStatus.CLOSED)
ReadsValue = Callable[[str, Value, Row, list[Reason]], Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What one row says of the ticket."""

    at: datetime
    team: str
    agent_id: UUID | None
    line: SupportLine
    meaning: Meaning


def replayed(
    history: History, rows: Sequence[Row], value: ReadsValue, reasons: list[Reason]
) -> list[Command]:
    """The commands that follow the opening; with it, each row leaves at least one event of its own time."""
    ticket = _Replay()
    commands: list[Command] = []
    for row in rows:
        told = _told(history, row, value, reasons)
        if told is None:
            return []
        found = [Command(verb, told.at, fields) for verb, fields in ticket.follow(told)]
        if not found and row is not rows[0]:
            found = [Command("progress", told.at, {"activity": told.meaning.activity})]
        commands += found
    return commands


def _told(history: History, row: Row, value: ReadsValue, reasons: list[Reason]) -> Told | None:
    at = value("at", history.at, row, reasons)
    team = value("team", history.team, row, reasons)
    meaning = history.meanings.get(history.status.text(row.values) or "")
    for field, found in (("at", at), ("team", team)):
        if found is None:
            reasons.append(Reason(field, f"missing in row {row.number}"))
    if meaning is None:
        reasons.append(Reason("status", f"in row {row.number} has no meaning in the mapping"))
    if at is None or team is None or meaning is None:
        return None
    agent_id = None
    if history.agent is not None and not meaning.queued:
        agent_id = value("agent_id", history.agent, row, reasons)
    line = value("line", history.line, row, reasons) if history.line else None
    return Told(at, team, agent_id, line or SupportLine.FIRST, meaning)


class _Replay:
    """Where the ticket stands while its rows are read: foreign systems know no order that we could demand."""

    def __init__(self) -> None:
        self.status = TicketStatus.OPEN
        self.waiting_for: str | None = None
        self.line = SupportLine.FIRST
        self.place: tuple[str | None, UUID | None] = (None, None)

    def follow(self, told: Told) -> Iterator[tuple[str, dict[str, Any]]]:
        wanted = told.meaning.status
        if self.status is TicketStatus.CLOSED and wanted is not TicketStatus.CLOSED:
            yield from self._turn("reopen", TicketStatus.OPEN)
        if self.status is TicketStatus.RESOLVED and wanted not in DONE:
            yield from self._turn("reopen", TicketStatus.OPEN)
        if self.status is not TicketStatus.CLOSED:
            yield from self._move(told)
        if self.status is TicketStatus.WAITING and wanted is TicketStatus.OPEN:
            yield from self._turn("resume", TicketStatus.OPEN)
        if wanted is TicketStatus.WAITING and self.waiting_for != told.meaning.activity:
            yield from self._turn("pause", wanted, waiting_for=told.meaning.activity)
        if wanted is not self.status and wanted in DONE:
            yield from self._turn("resolve" if wanted is TicketStatus.RESOLVED else "close", wanted)

    def _turn(
        self, verb: str, status: TicketStatus, waiting_for: str | None = None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        self.status, self.waiting_for = status, waiting_for
        yield verb, {"waiting_for": waiting_for} if waiting_for else {}

    def _move(self, told: Told) -> Iterator[tuple[str, dict[str, Any]]]:
        if told.line is not self.line:
            self.line = told.line
            self.place = (told.team, None)
            yield "escalate", {"line": told.line, "team": told.team}
        if (told.team, told.agent_id) != self.place:
            self.place = (told.team, told.agent_id)
            yield "assign", {"team": told.team, "agent_id": told.agent_id}
