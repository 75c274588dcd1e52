"""How long erasing a person takes: until the fence is up and the keys are destroyed, and until all is said.

One person of 100,000 events beside one of 10, a few of each, in one system with its views.
"""

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from rich.console import Console
from rich.table import Table
from uuid_utils.compat import uuid7

from domain.values import EmailAddress, ErasureGround
from infra.bootstrap import System, open_system
from infra.eventstore.erasurejournal import PostgresErasureJournal
from infra.postgres.indexpurger import PostgresIndexPurger
from infra.settings import load
from services.erasures import Erasures
from services.ports import CommandContext
from tests.e2e.importing import projected

EVENTS: Final = (100_000, 10)
PEOPLE: Final = 3
AT_ONCE: Final = 500


def _context() -> CommandContext:
    return CommandContext(uuid7(), b"", str(uuid4()), datetime.now(UTC), uuid7())


@dataclass
class Watch:
    """Purges like the one behind it, and notes when it is asked to: by then the keys are destroyed."""

    behind: PostgresIndexPurger
    asked: float = 0.0

    async def purge(self, subject_id: UUID) -> None:
        self.asked = time.perf_counter()
        await self.behind.purge(subject_id)


async def _live(system: System, events: int) -> UUID:
    """A person with so many events: leads of theirs, each with a sealed name and address."""
    person = uuid7()

    async def capture() -> None:
        await system.leads.capture(
            id=uuid7(),
            subject_id=person,
            context=_context(),
            source="fair",
            name="Maya Brandt",
            email=EmailAddress("maya@example.com"),
        )

    for begun in range(0, events, AT_ONCE):
        await asyncio.gather(*(capture() for _ in range(min(AT_ONCE, events - begun))))
    return person


async def _erase(system: System, person: UUID) -> tuple[float, float]:
    """Milliseconds from the command to the end of the keys, and to the end of the saga."""
    watch = Watch(PostgresIndexPurger(system.pool))
    erasures = Erasures(
        system.application,
        shredder=system.ring,
        purger=watch,
        subjects=system.subjects,
        journal=PostgresErasureJournal(system.pool, system.mapper),
        ledger=system.ledger,
    )
    began = time.perf_counter()
    asked = await erasures.request(
        id=uuid7(), erased_subject_id=person, ground=ErasureGround.CONSENT_WITHDRAWN, context=_context()
    )
    await erasures.run(asked.id)
    ended = time.perf_counter()
    assert person in await system.ring.erased([person])
    return (watch.asked - began) * 1_000, (ended - began) * 1_000


async def run(folder: Path) -> None:
    async with open_system(load(data=folder)) as system:
        people = {events: [await _live(system, events) for _ in range(PEOPLE)] for events in EVENTS}
        await projected(system)
        await _erase(system, await _live(system, 10))  # the first pays for connections and plans
        table = Table(title="erasing a person")
        for heading in ("events", "keys destroyed after, median ms", "worst", "all done after, median ms"):
            table.add_column(heading, justify="right")
        for events, them in people.items():
            took = [await _erase(system, it) for it in them]
            keys, whole = [it[0] for it in took], [it[1] for it in took]
            table.add_row(
                f"{events:,}",
                f"{statistics.median(keys):.1f}",
                f"{max(keys):.1f}",
                f"{statistics.median(whole):.1f}",
            )
        Console().print(table)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


if __name__ == "__main__":
    main()
