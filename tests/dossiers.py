"""A long life: a person of many events, written straight into the log, sealed as the system seals."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from domain.model import Category, Event
from domain.ticket.events import TicketOpened, TicketReplyReceived
from domain.values import Channel, Level, Priority
from infra.bootstrap import System
from tests.histories import BEGIN, recorded, write

REPLIES_A_TICKET = 1_000
TEXT = "It is dark again. " * 12


def told(subject_id: UUID, count: int) -> Iterator[Event]:
    """So many events of tickets of the person's, a minute apart."""
    for number in range(count):
        version = number % REPLIES_A_TICKET + 1
        if version == 1:
            id = uuid7()
        base = {
            "originator_id": id,
            "originator_version": version,
            "timestamp": BEGIN + timedelta(minutes=number),
            "subject_id": subject_id,
        }
        if version == 1:
            yield TicketOpened(
                originator_topic="ticket",
                channel=Channel.EMAIL,
                impact=Level.LOW,
                urgency=Level.LOW,
                priority=Priority.LOW,
                subject="Dark",
                **base,
            )
        else:
            yield TicketReplyReceived(channel=Channel.EMAIL, text=f"{number}: {TEXT}", **base)


async def long_life(system: System, subject_id: UUID, count: int) -> None:
    """Write the person's events into the log."""
    name = (subject_id, Category.CONVERSATION)
    async with system.pool.connection() as connection, connection.transaction():
        keys = await system.ring.provide({name}, within=connection)
    events = (recorded(it, it.timestamp) for it in told(subject_id, count))
    await write(system.pool, (system.mapper.to_stored_event(it, keys) for it in events))
