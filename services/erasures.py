"""Erasing a person: a saga that may be killed between any two of its steps, and converges."""

import asyncio
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID, uuid5

from domain.erasure.aggregate import Erasure
from domain.erasure.events import ErasureRequested
from domain.values import ErasureGround
from services.application import Application
from services.ports import (
    CommandContext,
    IndexPurger,
    KeyShredder,
    Outcome,
    Recorded,
    RecordNotFound,
    Refused,
    Shredded,
)


class SubjectNotFound(Refused):
    """Nothing is known of such a data subject."""


class SubjectRegister(Protocol):
    """Knows who there is."""

    async def knows(self, subject_id: UUID) -> bool:
        """Whether anything was ever recorded of the subject, erased or not."""
        ...


class ErasureJournal(Protocol):
    """The log's requests for erasure."""

    async def request(self, erasure_id: UUID) -> Recorded | None:
        """The durable request, if there is one."""
        ...

    async def unfinished(self) -> Sequence[Recorded]:
        """The requests whose subject is not recorded as erased yet, oldest first."""
        ...


class Erasures:
    """Requests erasures and carries them out. The steps, each of which may be repeated:

    1. `ErasureRequested` in the log, durable before anything is destroyed. A legal hold would refuse here.
    2. The fence and the end of the keys, in one transaction: nothing is sealed for the subject after it, and
       no stored byte opens any more. Key-encryption keys in epochs will end older copies of the keys too.
    3. The blind index rows go; indexes in memory follow the log and drop what the key ring calls erased.
    4. `SubjectErased` in the log, and so on Kafka. Subscribers' acknowledgements, the certificate and
       `ErasureSealed` follow from it.

    A crash after step 1 leaves an unfinished request, which `resume` carries on with.
    """

    def __init__(
        self,
        application: Application,
        *,
        shredder: KeyShredder,
        purger: IndexPurger,
        subjects: SubjectRegister,
        journal: ErasureJournal,
    ) -> None:
        self._application = application
        self._shredder = shredder
        self._purger = purger
        self._subjects = subjects
        self._journal = journal

    async def request(
        self, *, id: UUID, erased_subject_id: UUID, ground: ErasureGround, context: CommandContext
    ) -> Outcome:
        """Step 1. Raises `SubjectNotFound`. Who is erased already may be erased again: it changes nothing."""
        if not await self._subjects.knows(erased_subject_id):
            raise SubjectNotFound(erased_subject_id)
        return await self._application.create(
            lambda: Erasure.request(id=id, erased_subject_id=erased_subject_id, ground=ground),
            context=context,
        )

    async def run(self, erasure_id: UUID) -> Outcome:
        """Steps 2 to 4. Raises `RecordNotFound` unless the request is in the log: no key goes without one."""
        request = await self._journal.request(erasure_id)
        if request is None:
            raise RecordNotFound(erasure_id)
        return await self._carry_out(request)

    async def resume(self) -> int:
        """Finish what a crash or an outage left; how many were finished.

        One that fails keeps none of the others waiting; the failures are raised together at the end.
        """
        requests = await self._journal.unfinished()
        results = await asyncio.gather(*map(self._carry_out, requests), return_exceptions=True)
        failures = [result for result in results if isinstance(result, Exception)]
        if failures:
            raise ExceptionGroup("erasures that could not be finished", failures)
        return len(requests)

    async def _carry_out(self, request: Recorded) -> Outcome:
        event = request.event
        assert isinstance(event, ErasureRequested)  # noqa: S101 - the journal holds nothing else
        shredded = await self._shredder.shred(event.erased_subject_id)
        await self._purger.purge(event.erased_subject_id)
        return await self._complete(request, shredded)

    async def _complete(self, request: Recorded, shredded: Shredded) -> Outcome:
        fingerprints = tuple(shredded.fingerprints.values())
        return await self._application.change(
            Erasure,
            request.originator_id,
            lambda erasure: erasure.complete(fingerprints=fingerprints),
            context=self._completing(request),
        )

    def _completing(self, request: Recorded) -> CommandContext:
        """The same command each time, so that two processes which finish one erasure record it once."""
        return CommandContext(
            command_id=uuid5(request.envelope.event_id, "complete"),
            request_digest=request.originator_id.bytes,
            actor=request.envelope.actor,
            occurred_at=self._application.clock.now(),
            correlation_id=request.envelope.correlation_id,
            causation_id=request.envelope.event_id,
        )
