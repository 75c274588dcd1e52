"""A small system with something in every place that `lethe verify` looks at."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from pydantic import SecretStr

from domain.model import Category
from domain.values import CustomerKind, EmailAddress, ErasureGround, ExportFormat, LawfulBasis
from infra.accesslog import Access
from infra.audit.folder import CheckpointFolder
from infra.audit.verification import Sources, Verification, verify
from infra.bootstrap import System, open_system
from infra.settings import Settings
from infra.work import going_on, sequencing
from services.ports import CommandContext

SIGNED_SECONDS_MAX = 30
ROUNDS = 3
EXPORTED = b'{"id": 1}\n'


def command() -> CommandContext:
    return CommandContext(
        command_id=uuid4(),
        request_digest=random.randbytes(16),
        actor=str(uuid4()),
        occurred_at=datetime.now(UTC),
        correlation_id=uuid4(),
    )


@asynccontextmanager
async def world(url: str, folder: Path, *, people: int = 40) -> AsyncIterator[System]:
    """Some hundred events in three signed rounds, people erased wholly and in part, accesses noted."""
    settings = Settings(data=folder, database_url=SecretStr(url), checkpoint_seconds=0.1)
    stop = asyncio.Event()
    async with open_system(settings) as system, going_on(sequencing(system), stop):
        for number in range(ROUNDS):
            subjects = [uuid4() for _ in range(people)]
            await asyncio.gather(*(live(system, it) for it in subjects))
            await erase(system, subjects[0], frozenset())
            await erase(system, subjects[1], frozenset({Category.CONTACT}))
            for subject_id in subjects[: 3 + number]:
                await look(system, subject_id)
            await hand_over(system)
            await signed(system)
        stop.set()
        yield system


async def live(system: System, subject_id: UUID) -> None:
    """A customer who is registered, and changes."""
    id = uuid4()
    await system.customers.register(
        id=id,
        subject_id=subject_id,
        context=command(),
        kind=CustomerKind.PERSON,
        source="web",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="sales",
        name="Ann",
        email=EmailAddress("ann@example.org"),
    )
    for owner in range(5):
        await system.customers.assign(id=id, owner_id=UUID(int=owner + 1), context=command())


async def erase(system: System, subject_id: UUID, categories: frozenset[Category]) -> None:
    await system.erasures.erase(
        id=uuid4(),
        erased_subject_id=subject_id,
        ground=ErasureGround.OBJECTION,
        categories=categories,
        context=command(),
    )


async def look(system: System, subject_id: UUID) -> None:
    """Somebody sees the subject; stored in a batch of its own."""
    system.accesses.note(
        Access(at=datetime.now(UTC), actor=uuid4(), operation="read", count=1, subjects=subject_id.bytes)
    )
    await system.accesses.close()


async def hand_over(system: System) -> None:
    """An export of `EXPORTED`."""
    id = uuid4()
    await system.exports.begin(
        id=id,
        what="customers",
        filters={},
        format=ExportFormat.JSONL,
        covered_position=1,
        context=command(),
    )
    digest = hashlib.sha256(EXPORTED).hexdigest()
    await system.exports.complete(id=id, count=1, byte_count=len(EXPORTED), sha256=digest, context=command())


async def signed(system: System) -> None:
    """Wait until everything is in a checkpoint outside the database."""
    counts = {"log": "SELECT count(*) FROM log.events", "access": "SELECT count(*) FROM access.batches"}
    async with asyncio.timeout(SIGNED_SECONDS_MAX):
        for log, tree in system.trees.items():
            folder = CheckpointFolder(system.settings.checkpoint_folder / log, tree.signer.key)
            async with system.pool.connection() as connection:
                [count] = await (await connection.execute(counts[log].encode())).fetchone() or (0,)
            while await _outside(folder) < count:  # noqa: ASYNC110 - the sequencer does it
                await asyncio.sleep(0.02)


async def _outside(folder: CheckpointFolder) -> int:
    latest = await asyncio.to_thread(folder.latest)
    return latest.size if latest is not None else 0


async def verified(system: System, *, keys: bool = True) -> Verification:
    return await verify(Sources.of(system), keys=keys)
