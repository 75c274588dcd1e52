"""`lethe keys`: the key-encryption key's epochs, and turning them."""

from dataclasses import asdict

import typer

from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, command, lethe, progress_of
from infra.keysreport import EpochReport, KeysReport, look_at_keys
from infra.rotation import RotationReport

keys = typer.Typer(help="The key-encryption key and its epochs.")
lethe.add_typer(keys, name="keys")


@command("rotate", group=keys)
async def rotate(call: Call) -> Answer:
    """Begin a new epoch: wrap all keys under a new key-encryption key, and destroy the old one.

    Commands go on meanwhile. From then on no copy of the key store made before opens, wherever it is.
    Interrupted, it is finished when run again.
    """
    async with open_system(call.settings, migrated=False) as system:
        found = await look_at_keys(system.pool, system.keks)
        with progress_of("keys", sum(it.active for it in found.epochs)) as progress:
            report = await system.rotation.run(lambda done, total: progress(done))
    return Answer(asdict(report), _told(report))


@command("status", group=keys)
async def status(call: Call) -> Answer:
    """The epochs, how many keys each has, and what should not be. Exit code 1 where there is such a thing."""
    async with open_system(call.settings, migrated=False) as system:
        report = await look_at_keys(system.pool, system.keks)
    return Answer(report, _in_words(report), well=not report.odd)


def _told(report: RotationReport) -> str:
    begun = "finished what was interrupted" if report.resumed else "begun"
    return (
        f"Epoch {report.epoch} {begun}: {report.keys} keys wrapped anew under {report.kek_id}, "
        f"{', '.join(report.destroyed)} destroyed, {report.sealed} erasures sealed, in {report.seconds} s.\n"
        "Destroy the copies of the old key-encryption key too, and copy the new one."
    )


def _in_words(report: KeysReport) -> str:
    lines = [_line(it) for it in report.epochs]
    return "\n".join([*lines, *(f"odd: {what} ({number})" for what, number in report.odd.items())])


def _line(epoch: EpochReport) -> str:
    ended = "" if epoch.ended_at is None else f" to {epoch.ended_at:%Y-%m-%d %H:%M}"
    return (
        f"epoch {epoch.number} ({epoch.state}), {epoch.kek_id}, {epoch.began_at:%Y-%m-%d %H:%M}{ended}: "
        f"{epoch.active} keys, {epoch.system} of the system's own, {epoch.erased} erased"
    )
