"""Turns the epoch of the key-encryption key (KEK) while commands go on. Killed anywhere, it can be run again.

1. A new KEK is added to its place, and a new epoch begins: whoever mints a key from now on wraps it under
   the new one, and learns so from the key store.
2. The keys that live are wrapped anew, batch by batch. A key that is erased meanwhile stays erased.
3. The key store says that nothing is left under the old KEK, and the new one is read back and tried.
4. The old KEK is destroyed. From now on no older copy of the key store opens, nor a write-ahead log of it.
5. The log says so of every erasure from before the epoch: `erasure.sealed`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.model import Category
from infra.kek import KekPlace, KekUnusable, KeyEncryptionKey, data_key_place, fingerprint, system_key_place
from infra.postgres.epochs import Epoch
from infra.postgres.epochstore import BEFORE_ALL, EpochStore, WrappedKey, WrappedSystemKey, rotating
from infra.postgres.keystore import canary_of, opens_canary
from infra.scheduling import Job
from services.ports import KeyLost

BATCH_KEYS = 5_000
LOOK_EVERY = timedelta(hours=1)
NAMED_MAX = 5
CATEGORIES = {category.value: category for category in Category}
Progress = Callable[[int, int], None]
"""Told how many keys are wrapped anew, and how many there are to wrap."""


class Sealer(Protocol):
    """Records in the log what the end of an epoch seals, such as `services.erasures.Erasures`."""

    async def seal(self, *, epoch: int, kek_id: str) -> int: ...


@dataclass(frozen=True, slots=True)
class RotationReport:
    """What came of a rotation: the epoch that has begun, what ended, and how much was to do."""

    epoch: int
    kek_id: str
    destroyed: Sequence[str]
    keys: int
    sealed: int
    resumed: bool
    seconds: float


class Rotation:
    """Rotates the KEK of one key store."""

    def __init__(self, url: str, keks: KekPlace, sealer: Sealer, namespace: str) -> None:
        self._url = url
        self._keks = keks
        self._sealer = sealer
        self._namespace = namespace

    async def run(self, progress: Progress = lambda done, total: None) -> RotationReport:
        """Begin a new epoch and end those before it; or finish what an interrupted run has begun.

        Raises `RotationRunning`, `KekUnusable`, `Unavailable`, or `KeyLost` where a key does not open under
        its KEK: then the old KEK stays.
        """
        async with rotating(self._url) as store:
            return await self.turn(store, progress)

    async def run_if_due(self, now: datetime, every: timedelta) -> RotationReport | None:
        """As `run`, where the present epoch is as old as that, or an earlier one is not done with."""
        async with rotating(self._url) as store:
            *earlier, present = await store.epochs()
            if now < present.began_at + every and all(it.sealed_at for it in earlier):
                return None
            return await self.turn(store, lambda done, total: None)

    async def turn(self, store: EpochStore, progress: Progress) -> RotationReport:
        """As `run`, on a store that nobody else rotates."""
        started = time.monotonic()
        epochs = await store.epochs()
        unfinished = [it for it in epochs[:-1] if it.sealed_at is None]
        resumed = bool(unfinished)
        if not resumed:
            unfinished = epochs[-1:]
            epochs.append(await self._begin(store, epochs))
        present = epochs[-1]
        keys = sealed = 0
        for old in unfinished:
            keys += await self._empty(store, old, present, progress)
            await self._end(store, old, present)
            sealed += await self._seal(store, old, present)
        return RotationReport(
            epoch=present.number,
            kek_id=present.kek_id,
            destroyed=[it.kek_id for it in unfinished],
            keys=keys,
            sealed=sealed,
            resumed=resumed,
            seconds=round(time.monotonic() - started, 3),
        )

    async def _begin(self, store: EpochStore, epochs: Sequence[Epoch]) -> Epoch:
        """With the KEK that an interrupted run has added, if there is one, and else with a new one."""
        *_, newest = (await self._keks.all()).values()
        known = {it.kek_id for it in epochs}
        kek = await self._keks.add() if newest.id in known else newest
        return await store.begin(epochs[-1].number, kek.id, await canary_of(kek, self._namespace))

    async def _empty(self, store: EpochStore, old: Epoch, new: Epoch, progress: Progress) -> int:
        """Wrap anew what is wrapped under the old KEK; how many keys."""
        if old.emptied_at is not None:
            return 0
        rewrapper = _Rewrapper(await self._kek(old), await self._kek(new), self._namespace)
        total = (await store.counts()).get(old.number, {}).get("active", 0)
        number = await self._rewrap_all(
            store, old.number, new.number, rewrapper, lambda done: progress(done, total)
        )
        for key in await store.system_keys(old.number):
            await store.rewrap_system(old.number, new.number, key, await rewrapper.system_key(key))
            number += 1
        if left := await store.empty(old.number):
            named = ", ".join(f"{it.category} of {it.subject_id}" for it in rewrapper.lost[:NAMED_MAX])
            raise KeyLost(f"{left} keys do not open under {old.kek_id}, which therefore stays: {named}")
        await store.vacuum()
        return number

    async def _rewrap_all(
        self, store: EpochStore, old: int, new: int, rewrapper: "_Rewrapper", progress: Callable[[int], None]
    ) -> int:
        """Batch by batch; one is wrapped while the database stores the one before."""
        done = 0
        after = BEFORE_ALL
        storing: asyncio.Task[int] | None = None
        try:
            while page := await store.page(old, after, BATCH_KEYS):
                after = page[-1].subject_id, page[-1].category
                keys, boxes = await rewrapper.data_keys(page)
                if storing is not None:
                    progress(done := done + await storing)
                storing = asyncio.create_task(store.rewrap(old, new, keys, boxes))
            if storing is not None:
                progress(done := done + await storing)
        finally:
            if storing is not None and not storing.done():
                await asyncio.wait([storing])
        return done

    async def _end(self, store: EpochStore, old: Epoch, new: Epoch) -> None:
        if old.ended_at is not None:
            return
        # As it is in its place now, not as it is in memory: without it nothing would open any more.
        if not await opens_canary(await self._kek(new), new.canary, self._namespace):
            raise KekUnusable(f"the KEK {new.kek_id} is not the one that epoch {new.number} began with")
        await self._keks.destroy(old.kek_id)
        await store.end(old.number)

    async def _seal(self, store: EpochStore, old: Epoch, new: Epoch) -> int:
        sealed = await self._sealer.seal(epoch=new.number, kek_id=old.kek_id)
        await store.sealed(old.number)
        return sealed

    async def _kek(self, epoch: Epoch) -> KeyEncryptionKey:
        keks = await self._keks.all()
        if epoch.kek_id not in keks:
            raise KekUnusable(f"the KEK {epoch.kek_id} of epoch {epoch.number} is missing: restore it")
        return keks[epoch.kek_id]


def rotating_every(days: int, rotation: Rotation) -> Job:
    """Looks whether it is time, and finishes what was interrupted."""

    async def run(now: datetime) -> str:
        report = await rotation.run_if_due(now, timedelta(days=days))
        if report is None:
            return "the epoch goes on"
        return f"epoch {report.epoch}: {report.keys} keys wrapped anew, {report.sealed} erasures sealed"

    return Job(LOOK_EVERY, run)


class _Rewrapper:
    """Takes keys from under one KEK to under another, and remembers which did not open."""

    def __init__(self, old: KeyEncryptionKey, new: KeyEncryptionKey, namespace: str) -> None:
        self._old = old
        self._new = new
        self._namespace = namespace
        self.lost: list[WrappedKey] = []

    async def data_keys(self, page: Sequence[WrappedKey]) -> tuple[list[WrappedKey], Sequence[bytes]]:
        """Those of the keys that open, and their new wrapped forms."""
        prints = [it.fingerprint.hex() for it in page]
        places = [
            data_key_place(self._namespace, it.subject_id, CATEGORIES[it.category], print_)
            for it, print_ in zip(page, prints, strict=True)
        ]
        secrets = await self._old.unwrap([it.wrapped for it in page], places)
        opened = [
            (key, secret, place)
            for key, print_, secret, place in zip(page, prints, secrets, places, strict=True)
            if secret is not None and fingerprint(secret) == print_
        ]
        if len(opened) < len(page):
            kept = {key for key, _, _ in opened}
            self.lost += [key for key in page if key not in kept]
        boxes = await self._wrapped([secret for _, secret, _ in opened], [place for _, _, place in opened])
        return [key for key, _, _ in opened], boxes

    async def system_key(self, key: WrappedSystemKey) -> bytes:
        """The key's new wrapped form. Raises `KeyLost`."""
        place = system_key_place(self._namespace, key.name, key.fingerprint.hex())
        [secret] = await self._old.unwrap([key.wrapped], [place])
        if secret is None or fingerprint(secret) != key.fingerprint.hex():
            raise KeyLost(f"the system key {key.name!r} does not open under {self._old.id}, which stays")
        [box] = await self._wrapped([secret], [place])
        return box

    async def _wrapped(self, secrets: Sequence[bytes], places: Sequence[bytes]) -> Sequence[bytes]:
        """Tried at once: what does not come back as it was is never stored."""
        boxes = await self._new.wrap(secrets, places)
        if list(await self._new.unwrap(boxes, places)) != secrets:
            raise KekUnusable(f"the KEK {self._new.id} does not give back what it has wrapped")
        return boxes
