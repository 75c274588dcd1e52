"""Epochs of the key store: which there were, and the KEKs of those that live, as one process knows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import InvalidSchemaName, UndefinedFunction, UndefinedTable
from psycopg.rows import tuple_row

from infra.kek import KekPlace, KekUnusable, KeyEncryptionKey, KeyStoreUnfit


@dataclass(frozen=True, slots=True)
class Epoch:
    """The time of one KEK. See migration 0008 for its stages."""

    number: int
    kek_id: str
    canary: bytes
    began_at: datetime
    emptied_at: datetime | None
    ended_at: datetime | None
    sealed_at: datetime | None


async def all_epochs(connection: AsyncConnection[Any]) -> list[Epoch]:
    """All that there ever were, oldest first. Raises `KeyStoreUnfit` where there is none."""
    try:
        async with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            await cursor.execute("SELECT * FROM keys.all_epochs()")
            epochs = [Epoch(*row) for row in await cursor.fetchall()]
    except (InvalidSchemaName, UndefinedFunction, UndefinedTable):
        raise KeyStoreUnfit(
            "the key store is missing: the schema keys is not whole in this database"
        ) from None
    if not epochs:
        raise KeyStoreUnfit("the key store names no epoch, and so no KEK: it was emptied")
    return epochs


class LivingKeks:
    """The KEKs of the epochs that are not ended. Those of ended ones are let go at the next look."""

    def __init__(self, place: KekPlace) -> None:
        self._place = place
        self._keks: Mapping[int, KeyEncryptionKey] = {}
        self.epochs: list[Epoch] = []

    @property
    def number(self) -> int:
        """The epoch that keys are minted in, as far as this process knows."""
        return self.epochs[-1].number

    @property
    def oldest(self) -> int:
        """The earliest epoch that is not ended, as far as this process knows."""
        return self.epochs[0].number

    @property
    def present(self) -> KeyEncryptionKey:
        """The KEK of the epoch that keys are minted in."""
        return self._keks[self.number]

    def of(self, number: int) -> KeyEncryptionKey | None:
        """The epoch's KEK; None where it is not known (yet), or no more."""
        return self._keks.get(number)

    async def turned(self, connection: AsyncConnection[Any]) -> bool:
        """Look, and say whether an epoch has begun, been emptied or ended since this process looked last.

        What failed then, such as a key service that knows the old KEK no more, may succeed now.
        """
        known = self.epochs
        await self.look(connection)
        return self.epochs != known

    async def look(self, connection: AsyncConnection[Any]) -> None:
        """Learn which epochs live now, and load their KEKs from their place.

        Raises `KekUnusable` where one is not there under which keys are wrapped.
        """
        for last in (False, False, True):  # a rotation may come between the two questions
            keks = await self._place.all()
            living = [it for it in await all_epochs(connection) if it.ended_at is None]
            if not living:
                raise KeyStoreUnfit("the key store names no epoch that lives: it was changed by hand")
            missing = [it for it in living if it.emptied_at is None and it.kek_id not in keks]
            if not missing:
                break
            if last:
                raise KekUnusable(
                    f"the key store is wrapped under {missing[-1].kek_id}, and the KEK that is there"
                    f" is {', '.join(keks)}"
                )
        self.epochs = living
        self._keks = {it.number: keks[it.kek_id] for it in living if it.kek_id in keks}
