"""Restricting the processing of a person's data: a saga of two steps that may be repeated.

1. The fact in the log. 2. The mark beside the person's keys, which whoever seals or shows something heeds.
A crash between the two leaves a fact without its mark: `on` follows the log and sets it.
"""

from dataclasses import replace
from uuid import UUID, uuid5

from domain.restriction.aggregate import Restriction
from domain.restriction.events import RestrictionImposed, RestrictionLifted
from domain.values import RestrictionCause
from services.application import Application
from services.erasures import SubjectNotFound, SubjectRegister
from services.lasting import begin_or_change
from services.ports import (
    NOTHING_STANDS,
    CommandContext,
    Ground,
    KeyRing,
    Outcome,
    Recorded,
    SubjectIsErased,
    SubjectMarks,
)


def restriction_of(subject_id: UUID) -> UUID:
    """The id of the person's restriction, whether there ever was one or not."""
    return uuid5(subject_id, "restriction")


class Restrictions:
    """Imposes and lifts restrictions. An answer means that the mark stands, in every process."""

    causes = frozenset({RestrictionImposed.TOPIC, RestrictionLifted.TOPIC})

    def __init__(
        self, application: Application, *, marks: SubjectMarks, ring: KeyRing, subjects: SubjectRegister
    ) -> None:
        self._application = application
        self._marks = marks
        self._ring = ring
        self._subjects = subjects

    async def impose(
        self,
        *,
        subject_id: UUID,
        cause: RestrictionCause,
        context: CommandContext,
        expected_version: int | None = None,
    ) -> Outcome:
        """Raises `SubjectNotFound`, `SubjectIsErased` or `RestrictionHasOtherCause`."""
        if not await self._subjects.knows(subject_id):
            raise SubjectNotFound(subject_id)
        standing = (await self._ring.standings([subject_id])).get(subject_id, NOTHING_STANDS)
        if standing.erased:
            raise SubjectIsErased(subject_id)
        id = restriction_of(subject_id)
        outcome = await begin_or_change(
            self._application,
            Restriction,
            id,
            begin=lambda: Restriction.impose_first(id=id, subject_id=subject_id, cause=cause),
            change=lambda restriction: restriction.impose(cause=cause),
            context=_by_right(context),
            expected_version=expected_version,
        )
        await self._marks.restrict(subject_id, True, position=outcome.position)
        return outcome

    async def lift(
        self, *, subject_id: UUID, context: CommandContext, expected_version: int | None = None
    ) -> Outcome:
        """Raises `RecordNotFound` where there never was a restriction."""
        outcome = await self._application.change(
            Restriction,
            restriction_of(subject_id),
            Restriction.lift,
            context=_by_right(context),
            expected_version=expected_version,
        )
        await self._marks.restrict(subject_id, False, position=outcome.position)
        return outcome

    async def on(self, recorded: Recorded) -> None:
        """Set the mark that the fact asks for, unless a later fact has set it already."""
        match recorded.event:
            case RestrictionImposed(subject_id=subject_id):
                await self._marks.restrict(subject_id, True, position=recorded.position)
            case RestrictionLifted(subject_id=subject_id):
                await self._marks.restrict(subject_id, False, position=recorded.position)


def _by_right(context: CommandContext) -> CommandContext:
    """To restrict, and to end that, carries out a right of the person's: a restriction never stops it."""
    return replace(context, ground=context.ground or Ground.SUBJECT_RIGHTS)
