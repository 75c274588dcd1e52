"""A look at the key store: its epochs, how many keys each has, and what should not be. No key, no person."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, Field

from infra.kek import KekPlace
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.epochs import Epoch, all_epochs
from infra.postgres.epochstore import counts_by_epoch


class EpochReport(BaseModel):
    """One epoch and its keys."""

    number: int
    kek_id: str
    state: str = Field(description="present, turning (a rotation is not done with it), or sealed.")
    began_at: datetime
    ended_at: datetime | None = Field(description="When its KEK was destroyed.")
    active: int = Field(description="Data keys wrapped under its KEK.")
    system: int = Field(description="Keys of the system's own wrapped under its KEK.")
    erased: int = Field(description="Erased data keys that were wrapped under its KEK last.")


class KeysReport(BaseModel):
    """The key store as it is now."""

    epochs: list[EpochReport]
    odd: dict[str, int] = Field(description="What should not be, and how often it is.")


async def look_at_keys(pool: Pool, keks: KekPlace) -> KeysReport:
    """Look now. Raises `KekUnusable` or `Unavailable`."""
    present = await keks.all()
    with unavailable_on_outage():
        async with pool.connection() as connection:
            counts = await counts_by_epoch(connection)
            epochs = await all_epochs(connection)
            odd = dict(await (await connection.execute("SELECT * FROM keys.odd()")).fetchall())
    for epoch in epochs:
        if epoch.emptied_at is None and epoch.kek_id not in present:
            odd[f"KEK {epoch.kek_id} of epoch {epoch.number} is missing"] = 1
        if epoch.ended_at is not None and epoch.kek_id in present:
            odd[f"KEK {epoch.kek_id} is there again, though epoch {epoch.number} ended"] = 1
    known = {epoch.kek_id for epoch in epochs}
    for kek_id in [it for it in present if it not in known]:
        odd[f"KEK {kek_id} is of no epoch"] = 1
    last = epochs[-1].number
    return KeysReport(epochs=[_report(it, counts.get(it.number, {}), last) for it in epochs], odd=odd)


def _report(epoch: Epoch, counts: Mapping[str, int], last: int) -> EpochReport:
    state = "present" if epoch.number == last else "turning" if epoch.sealed_at is None else "sealed"
    return EpochReport(
        number=epoch.number,
        kek_id=epoch.kek_id,
        state=state,
        began_at=epoch.began_at,
        ended_at=epoch.ended_at,
        active=counts.get("active", 0),
        system=counts.get("system", 0),
        erased=counts.get("erased", 0),
    )
