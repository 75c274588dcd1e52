"""What people agree to, for which purpose and through which channel."""

from dataclasses import replace
from datetime import date
from typing import Unpack
from uuid import UUID

from domain.consent.aggregate import Agreement, Consent
from domain.values import Channel
from services.application import Application
from services.erasures import SubjectNotFound, SubjectRegister
from services.lasting import begin_or_change
from services.lawfulness import Lawfulness, consent_of
from services.ports import NOTHING_STANDS, CommandContext, Ground, KeyRing, Outcome, SubjectIsErased


class Consents:
    """Commands to consents. To give one, and to take it back, is possible under a restriction too."""

    def __init__(
        self, application: Application, *, lawfulness: Lawfulness, ring: KeyRing, subjects: SubjectRegister
    ) -> None:
        self._application = application
        self._lawfulness = lawfulness
        self._ring = ring
        self._subjects = subjects

    async def give(
        self,
        *,
        subject_id: UUID,
        purpose: str,
        context: CommandContext,
        channel: Channel | None = None,
        **agreement: Unpack[Agreement],
    ) -> Outcome:
        """Raises `UnknownPurpose`, `PurposeRetired`, `SubjectNotFound` or `SubjectIsErased`."""
        await self._lawfulness.activity(purpose)
        if not await self._subjects.knows(subject_id):
            raise SubjectNotFound(subject_id)
        if (await self._ring.standings([subject_id])).get(subject_id, NOTHING_STANDS).erased:
            raise SubjectIsErased(subject_id)
        id = consent_of(subject_id, purpose, channel)
        return await begin_or_change(
            self._application,
            Consent,
            id,
            begin=lambda: Consent.give_first(
                id=id, subject_id=subject_id, purpose=purpose, channel=channel, **agreement
            ),
            change=lambda consent: consent.give(**agreement),
            context=replace(context, ground=context.ground or Ground.CONSENT),
        )

    async def withdraw(
        self, *, id: UUID, context: CommandContext, expected_version: int | None = None
    ) -> Outcome:
        return await self._application.change(
            Consent,
            id,
            Consent.withdraw,
            context=replace(context, ground=context.ground or Ground.SUBJECT_RIGHTS),
            expected_version=expected_version,
        )

    async def expire(self, *, id: UUID, today: date, context: CommandContext) -> Outcome:
        """Raises `ConsentNotDue` where its last day is not over, or it was given anew."""
        return await self._application.change(
            Consent, id, lambda consent: consent.expire(today=today), context=context
        )
