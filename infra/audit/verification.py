"""`lethe verify`: what is stored, held against the audit trees, and they against what was signed.

It rests on the signing key and on the folder of checkpoints outside the database. Verified are the log, the
trees, the access log, the key store's tombstones and the ledger. Views are not looked at: they are made from
the log, and `lethe rebuild` compares them.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import psycopg

from infra.audit import verifier
from infra.audit.note import Key
from infra.audit.storedcheckpoints import StoredCheckpoints
from infra.audit.storedkeys import asked_since, verify_keys, verify_ledger, verify_tombstones
from infra.audit.storedtree import NAMES, StoredTree
from infra.audit.verifier import Check, Fact, Findings
from infra.bootstrap import System
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.keyring import PostgresKeyRing

SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Interrupted(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that is verified, and what it is verified with."""

    url: str
    pool: Pool
    ring: PostgresKeyRing
    keys: Mapping[str, Key]
    """Each log's own, by the log's name."""
    witnesses: Sequence[Key]
    checkpoints: Path
    """The folder of all the logs' checkpoints outside the database."""
    ledger: Path

    @classmethod
    def of(cls, system: System) -> Self:
        """A system's own."""
        return cls(
            url=system.database.url,
            pool=system.pool,
            ring=system.ring,
            keys={log: tree.signer.key for log, tree in system.trees.items()},
            witnesses=system.tree.checkpoints.witnesses,
            checkpoints=system.settings.checkpoint_folder,
            ledger=system.settings.ledger_path,
        )


@dataclass(slots=True)
class Verification:
    """What was verified, and what is wrong."""

    findings: Findings = field(default_factory=Findings)
    checks: list[Check] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    leaves: dict[str, int] = field(default_factory=dict)
    unsequenced: dict[str, int] = field(default_factory=dict)
    position: int = 0
    seconds: float = 0.0

    def checked(self, name: str, before: int, words: str) -> None:
        """One question is answered: all is well where there are no more findings than `before`."""
        wrong = self.findings.total - before
        self.checks.append(Check(name, not wrong, words if not wrong else f"{wrong} wrong"))

    def document(self) -> dict[str, Any]:
        """As `--json` has it."""
        found = verifier.outcome("", {}, [], self.findings).document
        del found["file"]
        return found | {
            "checks": [it._asdict() for it in self.checks],
            "leaves": self.leaves,
            "unsequenced": self.unsequenced,
            "seconds": round(self.seconds, 3),
        }

    def lines(self) -> list[str]:
        """The same in words."""
        _, *rest = verifier.outcome("", {}, [], self.findings).lines
        waiting = [f"{count} of {log} are in no tree yet" for log, count in self.unsequenced.items() if count]
        return [*(verifier.check_in_words(it) for it in self.checks), *waiting, *rest]


async def verify(
    sources: Sources, *, keys: bool = False, say: Callable[[int], None] = lambda done: None
) -> Verification:
    """Verify everything; with `keys` open each wrapped key too. `say` hears how many events are done.

    Raises `Unavailable`. May be cancelled at any time.
    """
    found, begun, stop = Verification(), time.monotonic(), threading.Event()

    def said(done: int) -> None:
        if stop.is_set():
            raise Interrupted
        say(done)

    with unavailable_on_outage():
        try:
            await asyncio.to_thread(_verify_trees, sources, found, said)
        finally:
            stop.set()
    before = found.findings.total
    subjects = await verify_tombstones(sources.pool, found.facts, found.position, found.findings)
    found.checked("key store", before, f"{subjects} erased subjects, as the log has them")
    before = found.findings.total
    later = [it for it, _ in await asked_since(sources.pool, found.position)]
    lines = await asyncio.to_thread(verify_ledger, sources.ledger, found.facts, later, found.findings)
    found.checked("ledger", before, f"{lines} lines, as the log has them")
    if keys:
        before = found.findings.total
        number = await verify_keys(sources.pool, sources.ring, found.findings)
        found.checked("keys", before, f"{number} open, each the one that its fingerprint says")
    found.seconds = time.monotonic() - begun
    return found


def _verify_trees(sources: Sources, found: Verification, say: Callable[[int], None]) -> None:
    with psycopg.connect(sources.url) as connection:
        connection.execute(SNAPSHOT)
        for log in sources.keys:
            _verify_tree(connection, sources, log, found, say if log == "log" else lambda done: say(0))


def _verify_tree(
    connection: "psycopg.Connection[Any]",
    sources: Sources,
    log: str,
    found: Verification,
    say: Callable[[int], None],
) -> None:
    names, findings = NAMES[log], found.findings
    checkpoints = StoredCheckpoints(connection, log, sources.keys[log], sources.witnesses, names.checkpoint)
    stored, before = StoredTree(connection, log, findings, say), findings.total
    tree = stored.verify(checkpoints.sizes)
    found.leaves[log], found.unsequenced[log] = stored.leaves.count, stored.unsequenced
    found.checked(names.tree, before, f"{tree.size} leaves: each is what its root is made of")
    before = findings.total
    signed = checkpoints.verify(tree, findings)
    taken = checkpoints.verify_folder(sources.checkpoints / log, findings)
    found.checked(
        f"{names.checkpoint}s", before, f"{signed} signed, {taken} of them outside: all of this tree"
    )
    if log == "log":
        found.facts, found.position = stored.facts, stored.state.position
