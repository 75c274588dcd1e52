"""The key store and the erasure ledger, held against what the log says was erased."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from domain.model import Category
from infra import ledger
from infra.audit.verifier import Fact, Findings
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.keyring import PostgresKeyRing
from services.ports import DataKey, KeyLost, KeyName

PAGE: Final = 2_000
NOBODY: Final = UUID(int=0)
LOOK: Final = "SELECT * FROM keys.look(%s, %s, %s)"
SYSTEM_KEYS: Final = "SELECT keys.system_names()"
LATER: Final = """
SELECT originator_id, (convert_from(state, 'UTF8')::json -> 'data' ->> 'erased_subject_id')::uuid
FROM log.events WHERE position > %s AND topic IN ('erasure.requested', 'subject.erased')
"""
KEYS, LEDGER = "key store", "ledger"


@dataclass(slots=True)
class Erased:
    """What the log says was erased of a subject. Without `whole`, of these categories."""

    whole: bool = False
    categories: set[str] = field(default_factory=set)
    fingerprints: set[str] = field(default_factory=set)

    def covers(self, category: str) -> bool:
        """Whether what is sealed in this category is gone."""
        return self.whole or category in self.categories


@dataclass(frozen=True, slots=True)
class Kept:
    """What the key store has of a subject: each category's state and fingerprint."""

    subject_id: UUID
    known: bool
    erased: bool
    keys: Mapping[str, tuple[str, str | None]]


def erased_by(facts: Iterable[Fact]) -> dict[UUID, Erased]:
    """What the log says was erased, by subject."""
    found: dict[UUID, Erased] = {}
    for it in facts:
        if it.topic == "subject.erased":
            erased = found.setdefault(UUID(it.data["erased_subject_id"]), Erased())
            erased.whole |= not it.data.get("categories")
            erased.categories.update(it.data.get("categories") or ())
            erased.fingerprints.update(it.data["fingerprints"])
    return found


def under_way(facts: Collection[Fact]) -> set[UUID]:
    """The subjects whose erasure is asked for and not recorded as done: their keys may be gone already."""
    done = {it.record for it in facts if it.topic == "subject.erased"}
    asked = {it.record: it.data["erased_subject_id"] for it in facts if it.topic == "erasure.requested"}
    return {UUID(subject) for record, subject in asked.items() if record not in done}


async def kept(pool: Pool, *, only_erased: bool) -> AsyncIterator[list[Kept]]:
    """What the key store has, page by page."""
    after = NOBODY
    while True:
        with unavailable_on_outage():
            async with pool.connection() as connection:
                cursor = await connection.execute(LOOK.encode(), [after, only_erased, PAGE], binary=True)
                rows = await cursor.fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield [_kept(*row) for row in rows]


async def verify_tombstones(pool: Pool, facts: Collection[Fact], up_to: int, findings: Findings) -> int:
    """What is erased in the log is erased in the key store, and the other way round; how many subjects.

    `facts` are those of the log up to that position. Whoever's erasure goes on meanwhile is left alone.
    """
    erased, pending = erased_by(facts), under_way(facts)
    missing = set(erased)
    wrong: list[tuple[UUID, str]] = []
    async for page in kept(pool, only_erased=True):
        for it in page:
            missing.discard(it.subject_id)
            differences = _differences(it, erased.get(it.subject_id), pending=it.subject_id in pending)
            wrong += [(it.subject_id, words) for words in differences]
    wrong += [(it, "the log says that it is erased, the key store does not") for it in missing]
    later = {subject_id for _, subject_id in await asked_since(pool, up_to)}
    for subject_id, words in sorted(wrong):
        if subject_id not in later:
            findings.add(KEYS, f"subject {subject_id}: {words}")
    return len(erased)


async def asked_since(pool: Pool, position: int) -> list[tuple[UUID, UUID]]:
    """The erasures, and their subjects, that were asked for or carried out after this position."""
    with unavailable_on_outage():
        async with pool.connection() as connection:
            return await (await connection.execute(LATER.encode(), [position])).fetchall()


def _differences(it: Kept, erased: Erased | None, *, pending: bool) -> Iterable[str]:
    if not it.known:
        yield "there are keys, and no row of the subject"
    if erased is None:
        if not pending:
            yield "something of it is erased in the key store, and the log does not say so"
        return
    if erased.whole and not it.erased:
        yield "the fence is not up"
    if it.erased and not erased.whole and not pending:
        yield "the fence is up, and the log does not say so"
    for category in erased.categories - it.keys.keys():
        yield f"{category} has no tombstone"
    for category, (state, _) in it.keys.items():
        if state != "erased" and erased.covers(category):
            yield f"the key of {category} is not destroyed"
        if state == "erased" and not erased.covers(category) and not pending:
            yield f"the key of {category} is destroyed, and the log does not say so"
    gone = {print_ for state, print_ in it.keys.values() if state == "erased" and print_}
    for print_ in sorted(erased.fingerprints - gone):
        yield f"the tombstone of the key {print_} is missing"
    for print_ in sorted(gone - erased.fingerprints) if not pending else ():
        yield f"the log does not know the tombstone of the key {print_}"


async def verify_keys(pool: Pool, ring: PostgresKeyRing, findings: Findings) -> int:
    """Every key that is not erased opens, and is the one that its fingerprint says; how many."""
    count = await _verify_system_keys(pool, ring, findings)
    async for page in kept(pool, only_erased=False):
        names = {
            (it.subject_id, Category(category)): print_
            for it in page
            for category, (state, print_) in it.keys.items()
            if state == "active"
        }
        count += len(names)
        for (subject_id, category), words in (await _wrong(ring, names)).items():
            findings.add(KEYS, f"subject {subject_id}: the key of {category} {words}")
        for it in page:
            if not it.known:
                findings.add(KEYS, f"subject {it.subject_id}: there are keys, and no row of the subject")
    return count


async def _verify_system_keys(pool: Pool, ring: PostgresKeyRing, findings: Findings) -> int:
    with unavailable_on_outage():
        async with pool.connection() as connection:
            names = await (await connection.execute(SYSTEM_KEYS.encode())).fetchall()
    for (name,) in names:
        try:
            await ring.system_key(name)
        except KeyLost:
            findings.add(KEYS, f"the system key {name} does not open")
    return len(names)


async def _wrong(ring: PostgresKeyRing, names: Mapping[KeyName, str | None]) -> dict[KeyName, str]:
    """Those of the keys that do not open, by halves: one bad key spoils the answer for all."""
    try:
        found = await ring.fetch(names)
    except KeyLost:
        if len(names) == 1:
            return dict.fromkeys(names, "does not open")
        half = list(names.items())
        middle = len(half) // 2
        return await _wrong(ring, dict(half[:middle])) | await _wrong(ring, dict(half[middle:]))
    return {
        name: "is not the one that its fingerprint says"
        for name, key in found.items()
        if isinstance(key, DataKey) and key.fingerprint != names[name]
    }


def verify_ledger(path: Path, facts: Collection[Fact], later: Collection[UUID], findings: Findings) -> int:
    """The chain is whole, and it and the log say the same of every erasure; how many lines. Blocks.

    Of the erasures that came `later` than the facts nothing is said.
    """
    try:
        verdict = ledger.verify(path)
    except OSError as error:
        findings.add(LEDGER, f"it cannot be read: {error.strerror}")
        return 0
    if verdict.fault is not None:
        findings.add(LEDGER, verdict.fault)
        return verdict.lines
    hashes: dict[str, str] = {}
    entered: set[str] = set()
    with path.open("rb") as file:
        for line in ledger.lines(file):
            if "erasure_id" in line.fields:
                hashes[line.fields["hash"]] = line.fields["erasure_id"]
                entered.add(line.fields["erasure_id"])
    known = {it.record for it in facts if it.topic in ("erasure.requested", "subject.erased")}
    for it in facts:
        entry = it.data.get("ledger_hash") if it.topic == "subject.erased" else None
        if entry is not None and hashes.get(entry) != it.record:
            findings.add(LEDGER, f"it has no line of erasure {it.record}", None, None, it.position)
    for erasure_id in sorted(entered - known - {str(it) for it in later}):
        findings.add(LEDGER, f"the log does not know its erasure {erasure_id}")
    return verdict.lines


def _kept(
    subject_id: UUID,
    known: bool,
    erased: bool,
    categories: list[str],
    states: list[str],
    fingerprints: list[Any],
) -> Kept:
    keys = {
        category: (state, print_ and print_.hex())
        for category, state, print_ in zip(categories, states, fingerprints, strict=True)
    }
    return Kept(subject_id, known, erased, keys)
