"""The rules of a ticket."""

from uuid import UUID

import pytest

from domain.ticket.aggregate import Ticket, TicketIsClosed, TicketIsResolved
from domain.ticket.events import (
    TicketAssigned,
    TicketClosed,
    TicketEscalated,
    TicketNoteWritten,
    TicketOpened,
    TicketPaused,
    TicketPrioritised,
    TicketProgressed,
    TicketReopened,
    TicketReplyReceived,
    TicketReplySent,
    TicketResolved,
    TicketResumed,
)
from domain.ticket.priority import priority_of
from domain.values import Channel, Level, Priority, SupportLine
from tests.domain.given import ID, SUBJECT, Given, fact

ANN = UUID(int=7)
LOW, MEDIUM, HIGH = Level.LOW, Level.MEDIUM, Level.HIGH
OPENING = fact(TicketOpened, channel=Channel.WEB, impact=LOW, urgency=HIGH, priority=Priority.MEDIUM)

opened = Given(Ticket).given(OPENING)
waiting = opened.given(fact(TicketPaused, waiting_for="customer"))
resolved = opened.given(fact(TicketResolved))
closed = opened.given(fact(TicketClosed))
ANY = [opened, waiting, resolved, closed]
NOT_CLOSED = [opened, waiting, resolved]


def test_a_ticket_is_opened_with_the_priority_of_its_impact_and_urgency() -> None:
    Given(Ticket).when_made(
        lambda: Ticket.open(id=ID, subject_id=SUBJECT, channel=Channel.WEB, impact=LOW, urgency=HIGH)
    ).then(OPENING)


@pytest.mark.parametrize(
    ("impact", "urgency", "priority"),
    [
        (HIGH, HIGH, Priority.CRITICAL),
        (HIGH, MEDIUM, Priority.HIGH),
        (MEDIUM, HIGH, Priority.HIGH),
        (HIGH, LOW, Priority.MEDIUM),
        (MEDIUM, MEDIUM, Priority.MEDIUM),
        (LOW, HIGH, Priority.MEDIUM),
        (MEDIUM, LOW, Priority.LOW),
        (LOW, MEDIUM, Priority.LOW),
        (LOW, LOW, Priority.LOW),
    ],
)
def test_impact_and_urgency_weigh_the_same(impact: Level, urgency: Level, priority: Priority) -> None:
    assert priority_of(impact=impact, urgency=urgency) is priority


def test_a_ticket_is_prioritised_only_anew() -> None:
    opened.when(lambda it: it.prioritise(impact=HIGH, urgency=HIGH)).then(
        fact(TicketPrioritised, impact=HIGH, urgency=HIGH, priority=Priority.CRITICAL)
    )
    opened.when(lambda it: it.prioritise(impact=LOW, urgency=HIGH)).then()
    raised = opened.given(fact(TicketPrioritised, impact=HIGH, urgency=HIGH, priority=Priority.CRITICAL))
    raised.when(lambda it: it.prioritise(impact=HIGH, urgency=HIGH)).then()
    raised.when(lambda it: it.prioritise(impact=LOW, urgency=HIGH)).then(
        fact(TicketPrioritised, impact=LOW, urgency=HIGH, priority=Priority.MEDIUM)
    )


def test_a_ticket_waits_in_a_queue_until_an_agent_has_it() -> None:
    queued = opened.given(fact(TicketAssigned, team="net"))
    opened.when(lambda it: it.assign(team="net")).then(fact(TicketAssigned, team="net"))
    queued.when(lambda it: it.assign(team="net")).then()
    queued.when(lambda it: it.assign(team="net", agent_id=ANN)).then(
        fact(TicketAssigned, team="net", agent_id=ANN)
    )


def test_a_ticket_is_escalated_to_another_line_or_team_of_it() -> None:
    second = opened.given(fact(TicketEscalated, line=SupportLine.SECOND, team="net"))
    opened.when(lambda it: it.escalate(line=SupportLine.FIRST)).then()
    opened.when(lambda it: it.escalate(line=SupportLine.SECOND)).then(
        fact(TicketEscalated, line=SupportLine.SECOND)
    )
    second.when(lambda it: it.escalate(line=SupportLine.SECOND, team="net")).then()
    third = opened.given(fact(TicketEscalated, line=SupportLine.THIRD))
    third.when(lambda it: it.escalate(line=SupportLine.THIRD)).then()
    second.when(lambda it: it.escalate(line=SupportLine.SECOND, team="db")).then(
        fact(TicketEscalated, line=SupportLine.SECOND, team="db")
    )
    second.when(lambda it: it.escalate(line=SupportLine.FIRST)).then(
        fact(TicketEscalated, line=SupportLine.FIRST)
    )


def test_a_team_that_takes_over_has_no_agent_on_it_yet() -> None:
    with_ann = opened.given(fact(TicketAssigned, team="desk", agent_id=ANN))
    with_ann.given(fact(TicketEscalated, line=SupportLine.SECOND, team="net")).when(
        lambda it: it.assign(team="net")
    ).then()
    with_ann.given(fact(TicketEscalated, line=SupportLine.SECOND)).when(
        lambda it: it.assign(team="desk", agent_id=ANN)
    ).then()


@pytest.mark.parametrize("ticket", ANY)
def test_progress_and_notes_are_recorded_always(ticket: Given[Ticket]) -> None:
    ticket.when(lambda it: it.progress(activity="in_call")).then(fact(TicketProgressed, activity="in_call"))
    ticket.given(fact(TicketProgressed, activity="in_call")).when(
        lambda it: it.progress(activity="in_call")
    ).then(fact(TicketProgressed, activity="in_call"))
    ticket.when(lambda it: it.write_note(text="odd")).then(fact(TicketNoteWritten, text="odd"))


@pytest.mark.parametrize("ticket", NOT_CLOSED)
def test_a_reply_is_sent_while_the_ticket_is_not_closed(ticket: Given[Ticket]) -> None:
    ticket.when(lambda it: it.send_reply(channel=Channel.EMAIL, text="hi")).then(
        fact(TicketReplySent, channel=Channel.EMAIL, text="hi")
    )


@pytest.mark.parametrize("ticket", [opened, resolved, closed])
def test_what_a_customer_writes_is_never_refused(ticket: Given[Ticket]) -> None:
    ticket.when(lambda it: it.receive_reply(channel=Channel.EMAIL, text="hi")).then(
        fact(TicketReplyReceived, channel=Channel.EMAIL, text="hi")
    )


def test_a_reply_of_the_customer_ends_a_wait_for_the_customer_only() -> None:
    reply = fact(TicketReplyReceived, channel=Channel.EMAIL, text="hi")
    for_parts = opened.given(fact(TicketPaused, waiting_for="parts"))
    waiting.when(lambda it: it.receive_reply(channel=Channel.EMAIL, text="hi")).then(
        reply, fact(TicketResumed)
    )
    for_parts.when(lambda it: it.receive_reply(channel=Channel.EMAIL, text="hi")).then(reply)


def test_an_open_ticket_waits_for_one_thing_at_a_time_and_resumes() -> None:
    opened.when(lambda it: it.pause(waiting_for="parts")).then(fact(TicketPaused, waiting_for="parts"))
    waiting.when(lambda it: it.pause(waiting_for="customer")).then()
    waiting.when(lambda it: it.pause(waiting_for="parts")).then(fact(TicketPaused, waiting_for="parts"))
    waiting.when(lambda it: it.resume()).then(fact(TicketResumed))
    opened.when(lambda it: it.resume()).then()
    waiting.given(fact(TicketResumed)).when(lambda it: it.pause(waiting_for="customer")).then(
        fact(TicketPaused, waiting_for="customer")
    )


@pytest.mark.parametrize("ticket", [opened, waiting])
def test_an_open_or_waiting_ticket_is_resolved(ticket: Given[Ticket]) -> None:
    ticket.when(lambda it: it.resolve(note="swapped")).then(fact(TicketResolved, note="swapped"))


def test_a_resolved_ticket_is_reopened_before_work_on_it_goes_on() -> None:
    resolved.when(lambda it: it.resolve()).then()
    resolved.when(lambda it: it.resolve(note="swapped")).refused(TicketIsResolved)
    resolved.when(lambda it: it.pause(waiting_for="parts")).refused(TicketIsResolved)
    resolved.when(lambda it: it.resume()).refused(TicketIsResolved)
    resolved.given(fact(TicketReopened)).when(lambda it: it.resolve()).then(fact(TicketResolved))


def test_a_closed_ticket_is_reopened_before_work_on_it_goes_on() -> None:
    closed.when(lambda it: it.prioritise(impact=HIGH, urgency=HIGH)).refused(TicketIsClosed)
    closed.when(lambda it: it.assign(team="net")).refused(TicketIsClosed)
    closed.when(lambda it: it.escalate(line=SupportLine.THIRD)).refused(TicketIsClosed)
    closed.when(lambda it: it.send_reply(channel=Channel.EMAIL, text="hi")).refused(TicketIsClosed)
    closed.when(lambda it: it.pause(waiting_for="parts")).refused(TicketIsClosed)
    closed.when(lambda it: it.resume()).refused(TicketIsClosed)
    closed.when(lambda it: it.resolve()).refused(TicketIsClosed)


@pytest.mark.parametrize("ticket", NOT_CLOSED)
def test_a_ticket_is_closed_from_any_status_once(ticket: Given[Ticket]) -> None:
    ticket.when(lambda it: it.close()).then(fact(TicketClosed))
    closed.when(lambda it: it.close()).then()


def test_a_resolved_or_closed_ticket_is_reopened() -> None:
    resolved.when(lambda it: it.reopen()).then(fact(TicketReopened))
    closed.when(lambda it: it.reopen()).then(fact(TicketReopened))
    opened.when(lambda it: it.reopen()).then()
    waiting.when(lambda it: it.reopen()).then()
