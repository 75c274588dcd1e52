"""The access log: who saw whose personal data, which of it, when, why and from where. No values, only ids.

What a reader is shown is noted before the answer goes out, gathered, and stored in batches, each a leaf of
the audit tree of accesses. A process that is killed loses what it noted in the last fifth of a second, unless
`LETHE_ACCESS_DURABLE=before_answer` makes each answer wait for its batch.
"""

import asyncio
import ipaddress
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, Protocol
from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from domain.model import Category
from infra.audit import merkle
from infra.audit.leaves import access_leaf
from services.ports import Unavailable

GATHER_SECONDS: Final = 0.2
BATCH_ENTRIES_MAX: Final = 5_000
QUEUE_SUBJECTS_MAX: Final = 1_000_000
QUEUE_ENTRIES_MAX: Final = 50_000
BEHIND_SECONDS_MAX: Final = 5.0
"""So long may what was shown stay unstored; then nothing more is shown until it is."""
CLOSE_SECONDS_MAX: Final = 10.0
ID_BYTES: Final = 16

log = structlog.get_logger(__name__)


class Access(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One act of seeing. Its fields, in this order, are one line of a stored batch.

    `subjects`: the ids of those whose data was shown, 16 bytes each, in ascending order (in JSON: base64).
    `everyone`: they were too many to name, such as in an export. `count`: how many records were shown.
    `network`: where from, no finer than an IPv4 /24 or an IPv6 /48. Actors are pseudonyms.
    """

    at: datetime
    actor: UUID
    operation: str
    count: int
    token_id: UUID | None = None
    on_behalf_of: str | None = None
    purpose: str | None = None
    ground: str | None = None
    network: str | None = None
    categories: tuple[Category, ...] = ()
    everyone: bool = False
    export_id: UUID | None = None
    correlation_id: UUID | None = None
    subjects: bytes = b""

    def subject_ids(self) -> Iterator[UUID]:
        """Whose data was shown."""
        for start in range(0, len(self.subjects), ID_BYTES):
            yield UUID(bytes=self.subjects[start : start + ID_BYTES])

    @property
    def subject_count(self) -> int:
        return len(self.subjects) // ID_BYTES


def packed(ids: Iterable[bytes]) -> bytes:
    """The form of `Access.subjects`: each id once."""
    return b"".join(sorted(set(ids)))


@dataclass(frozen=True, slots=True)
class Batch:
    """Accesses that are stored together. `id` tells a batch that comes again from a new one."""

    id: UUID
    accesses: Sequence[Access]

    def body(self) -> bytes:
        """The bytes that are stored and hashed: JSON lines."""
        return _encoder.encode_lines(self.accesses)

    def subjects(self) -> set[str]:
        """The ids of all who are named, in hex."""
        named = "".join(it.subjects.hex() for it in self.accesses)
        return {named[start : start + 2 * ID_BYTES] for start in range(0, len(named), 2 * ID_BYTES)}

    def actors(self) -> set[UUID]:
        """Those who saw, and those on whose behalf they did."""
        return {it.actor for it in self.accesses} | {
            UUID(it.on_behalf_of) for it in self.accesses if it.on_behalf_of is not None
        }


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Access)


def accesses_of(body: bytes) -> list[Access]:
    """The accesses of a stored batch, in order."""
    return _decoder.decode_lines(body)


def leaf_hash(body: bytes) -> bytes:
    """The batch's leaf in the audit tree of accesses (RFC 6962, section 2.1)."""
    return merkle.leaf_hash(access_leaf(body))


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored access and its place: the batch's number, and its line there, from 0."""

    batch: int
    line: int
    access: Access


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """Which accesses: of this subject, by this actor (or on its behalf), in this time; None: of all."""

    subject_id: UUID | None = None
    actor_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    def passes(self, access: Access) -> bool:
        return (
            (self.subject_id is None or _names(access, self.subject_id))
            and (self.actor_id is None or self.actor_id == access.actor
                 or str(self.actor_id) == access.on_behalf_of)
            and (self.since is None or access.at >= self.since)
            and (self.until is None or access.at < self.until)
        )  # fmt: skip


def _names(access: Access, subject_id: UUID) -> bool:
    at = access.subjects.find(subject_id.bytes)
    while at > 0 and at % ID_BYTES:  # found across the border of two others
        at = access.subjects.find(subject_id.bytes, at + 1)
    return at >= 0


class AccessStore(Protocol):
    """Keeps batches of accesses in order, for good or until they are pruned."""

    async def append(self, batch: Batch) -> None:
        """Store the batch durably; one that is stored already changes nothing. Raises `Unavailable`."""
        ...

    async def find(
        self, where: AccessFilter, *, limit: int, before: tuple[int, int] | None = None
    ) -> list[Kept]:
        """Accesses, the newest first, from the one before the place `before` (batch, line)."""
        ...

    async def prune(self, until: datetime) -> int:
        """Forget the batches whose last access is older, all but their hashes; answer how many."""
        ...


class AccessLog:
    """Takes notes without waiting, and stores them within a second. Belongs to one event loop."""

    def __init__(self, store: AccessStore, *, before_answer: bool = False) -> None:
        self.store = store
        self.before_answer = before_answer
        self._noted: deque[Access] = deque()
        self._subjects = 0
        self._behind_since: float | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._stored = asyncio.Condition()
        self._notes = self._notes_stored = 0

    @property
    def waiting(self) -> int:
        """How many notes are not yet stored."""
        return len(self._noted)

    def note(self, access: Access) -> None:
        """Take down what is about to be shown. Raises `Unavailable` where it could not be kept: show nothing.

        Call `settled` before the answer goes out.
        """
        loop = asyncio.get_running_loop()
        self._check_room(loop.time())
        self._noted.append(access)
        self._notes += 1
        self._subjects += access.subject_count
        if self._behind_since is None:
            self._behind_since = loop.time()
        if self._flushing is None:
            self._flushing = loop.create_task(self._flush(), name="access log")

    async def settled(self) -> None:
        """Return once what was noted may be shown: at once, unless answers wait for their batch."""
        if not self.before_answer or not self._noted:
            return
        mine = self._notes
        self._hurry.set()
        try:
            async with asyncio.timeout(BEHIND_SECONDS_MAX), self._stored:
                await self._stored.wait_for(lambda: self._notes_stored >= mine)
        except TimeoutError:
            raise Unavailable("the access log cannot be written just now") from None

    def _check_room(self, now: float) -> None:
        behind = self._behind_since is not None and now - self._behind_since > BEHIND_SECONDS_MAX
        if behind or self._subjects > QUEUE_SUBJECTS_MAX or len(self._noted) >= QUEUE_ENTRIES_MAX:
            raise Unavailable("the access log cannot be written just now")

    async def _flush(self) -> None:
        """Store what is noted until nothing is left."""
        while self._noted:
            await self._gather()
            taken = [self._noted[it] for it in range(min(len(self._noted), BATCH_ENTRIES_MAX))]
            await self._store(Batch(uuid7(), taken))
            for it in taken:
                self._noted.popleft()
                self._subjects -= it.subject_count
            self._behind_since = asyncio.get_running_loop().time() if self._noted else None
            self._notes_stored += len(taken)
            async with self._stored:
                self._stored.notify_all()
        self._flushing = None

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(GATHER_SECONDS):
                await self._hurry.wait()
        except TimeoutError:
            return
        self._hurry.clear()

    async def _store(self, batch: Batch) -> None:
        """Again and again until it is stored: nothing that was shown is dropped while the process lives."""
        while True:
            try:
                return await self.store.append(batch)
            except Unavailable:
                log.warning("access_log_waits", entries=len(batch.accesses))
            except Exception as error:
                # Said with its type and places only; meanwhile reads are refused, as `note` does.
                log.error("access_log_failed", entries=len(batch.accesses), exc_info=error)
            await asyncio.sleep(GATHER_SECONDS)

    async def close(self) -> None:
        """Store what is noted. What the database does not take in 10 s is lost, and counted in the log."""
        flushing = self._flushing
        if flushing is None:
            return
        self._hurry.set()
        await asyncio.wait({flushing}, timeout=CLOSE_SECONDS_MAX)
        if self._noted:
            flushing.cancel()
            log.error("accesses_lost", entries=len(self._noted))


@lru_cache(maxsize=4096)
def network_of(host: str) -> str | None:
    """The network of an address, coarse enough to be nobody's own; None for what is no address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    bits = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network((address, bits), strict=False))


def newest_first(
    batch: int, body: bytes, where: AccessFilter, before: tuple[int, int] | None
) -> Iterable[Kept]:
    """The accesses of one batch that are asked for."""
    lines = list(enumerate(accesses_of(body)))
    for line, access in reversed(lines):
        if (before is None or (batch, line) < before) and where.passes(access):
            yield Kept(batch, line, access)
