"""The register of processing: one method a command, named as the aggregate names it."""

from typing import Unpack
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.activity.aggregate import Activity, Description
from services.application import Application, Target
from services.lasting import begin_or_change
from services.ports import CommandContext, Outcome

ACTIVITIES = uuid5(NAMESPACE_URL, "urn:lethe:activity")


def activity_of(code: str) -> UUID:
    """The id of the activity with this code, whether there is one or not."""
    return uuid5(ACTIVITIES, code)


class Activities:
    """Commands to processing activities. An activity's code is its purpose's name, for good."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def register(self, *, code: str, context: CommandContext, **says: Unpack[Description]) -> Outcome:
        """A new one, or a retired one again. Raises `ActivityAlreadyRegistered`."""
        id = activity_of(code)
        return await begin_or_change(
            self._application,
            Activity,
            id,
            begin=lambda: Activity.register_first(id=id, code=code, **says),
            change=lambda activity: activity.register(**says),
            context=context,
        )

    async def change(
        self,
        *,
        id: UUID,
        context: CommandContext,
        expected_version: int | None = None,
        **says: Unpack[Description],
    ) -> Outcome:
        return await self._application.change(
            Activity,
            id,
            lambda activity: activity.change(**says),
            context=context,
            expected_version=expected_version,
        )

    async def retire(self, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Activity, decide=Activity.retire, **to)
