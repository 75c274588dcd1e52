"""Runs every check over a system and puts the report together."""

from collections.abc import Callable

from infra.bootstrap import System
from infra.inspection import checks, custody
from infra.inspection.checks import Check, Look
from infra.inspection.findings import Checked, Report

ALL: tuple[Check, ...] = (*checks.CHECKS, *custody.CHECKS)


async def inspect(system: System, told: Callable[[int], None] = lambda done: None) -> Report:
    """Look at everything; `told` hears how many checks are done. Changes nothing, and opens no box."""
    look = Look(system, system.clock.now())
    checked: list[Checked] = []
    for check in ALL:
        looked_at, findings = await check.look(look)
        checked.append(
            Checked(
                name=check.name,
                asks=check.asks,
                rule=check.rule,
                looked_at=looked_at,
                findings=tuple(findings),
            )
        )
        told(len(checked))
    return Report(
        namespace=system.settings.namespace,
        made_at=look.now,
        position=await look.count("SELECT coalesce(max(position), 0) FROM log.events"),
        checks=tuple(checked),
    )
