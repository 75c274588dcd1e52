"""The checks of what is kept and how: retention, keys, ledger, proofs, who looked."""

import asyncio
from datetime import timedelta
from typing import Final
from uuid import UUID

from infra import ledger
from infra.backup.known import known_backups
from infra.inspection.checks import Check, Findings, Look
from infra.inspection.findings import Severity, found
from infra.keysreport import look_at_keys
from services.backups import expired

OVERDUE_AFTER: Final = timedelta(days=2)
"""Retention is applied once a day: what is due for longer was passed over."""
CHECKPOINT_AFTER: Final = timedelta(hours=1)
LEAVES_BEHIND_MAX: Final = 10_000
BACKUP_LATE: Final = timedelta(days=1)
DRILL_LATE: Final = timedelta(days=31)
EPOCH_LATE: Final = 1.5
"""An epoch that is so many times as old as it may become."""
UNUSUAL_SINCE: Final = timedelta(days=30)


async def _retention(look: Look) -> Findings:
    """Whether everything past its retention is gone."""
    policies = await look.system.retention.policies()
    overdue: list[UUID] = []
    async for findings in look.system.retention.plan(look.now - OVERDUE_AFTER):
        overdue += [it.subject_id for it in findings if it.due]
    none = [] if policies else ["no policy is set: everything is kept without an end"]
    return len(policies), [
        *found("retention", Severity.ADVICE, "empty set of retention policies", none),
        *found("retention", Severity.LATE, "categories of people's data past every policy", overdue),
    ]


async def _keys(look: Look) -> Findings:
    """Whether the key store is whole, and its epochs turn."""
    report = await look_at_keys(look.system.pool, look.system.keks)
    days = look.system.settings.kek_epoch_days
    oldest = min((it.began_at for it in report.epochs if it.ended_at is None), default=look.now)
    aged = look.now - oldest
    old = [f"{aged.days} days old"] if days and aged > timedelta(days=days * EPOCH_LATE) else []
    odd = [f"{what} ({number})" for what, number in report.odd.items()]
    return sum(it.active + it.erased + it.system for it in report.epochs), [
        *found("keys", Severity.FAULT, "things in the key store that should not be", odd),
        *found("keys", Severity.LATE, "key epoch that should have turned", old),
        *found(
            "keys",
            Severity.ADVICE,
            "scheduled rotation switched off",
            [] if days else ["LETHE_KEK_EPOCH_DAYS=0"],
        ),
    ]


async def _ledger(look: Look) -> Findings:
    """Whether the ledger of erasures is whole and agrees with the database."""
    path = look.system.settings.ledger_path
    if not path.exists():
        return 0, found("ledger", Severity.FAULT, "lost ledger of erasures", [path.name])
    verdict = await asyncio.to_thread(ledger.verify, path)
    faults = [verdict.fault] if verdict.fault else []
    return verdict.lines, found("ledger", Severity.FAULT, "broken ledger of erasures", faults)


async def _proofs(look: Look) -> Findings:
    """Whether the audit trees grow with their logs, and are signed."""
    trees = await look.rows("SELECT log, size, fault FROM audit.trees ORDER BY log")
    stale = await look.ids(
        "SELECT tree.log FROM audit.trees AS tree WHERE tree.size > 0 AND NOT EXISTS (SELECT FROM"
        " audit.checkpoints AS it WHERE it.log = tree.log AND (it.size = tree.size OR it.made_at > %s))"
        " ORDER BY tree.log",
        look.now - CHECKPOINT_AFTER,
    )
    behind = await look.count(
        "SELECT count(*) FROM (SELECT FROM log.events WHERE position >"
        " coalesce((SELECT position FROM audit.trees WHERE log = 'log'), 0) LIMIT %s) AS unread",
        LEAVES_BEHIND_MAX,
    )
    lagging = [f"{behind} events or more"] if behind == LEAVES_BEHIND_MAX else []
    return sum(size for _, size, _ in trees), [
        *found(
            "proofs", Severity.FAULT, "trees that refuse to grow", [log for log, _, fault in trees if fault]
        ),
        *found("proofs", Severity.LATE, "trees without a fresh checkpoint", stale),
        *found("proofs", Severity.LATE, "events that are not in the tree yet", lagging),
    ]


async def _backups(look: Look) -> Findings:
    """Whether there is a backup that would help: of this epoch's keys, fresh, and tried."""
    backups = [it for it in await known_backups(look.system.pool, look.system.mapper) if not it.deleted_at]
    present = max(await look.ids("SELECT number FROM keys.all_epochs()"))
    opens = [it for it in backups if it.epoch == present]
    fresh = [it for it in opens if it.made_at > look.now - BACKUP_LATE]
    tried = [it for it in opens if it.verified_at and it.verified_at > look.now - DRILL_LATE]
    keep = timedelta(days=look.system.settings.backup_keep_days)
    over = [it.id for it in expired(backups, keep=keep, now=look.now)]
    none = [] if backups else ["no backup was ever made by `lethe backup`"]
    lost = [it.id for it in backups[-1:]] if not opens else []
    return len(backups), [
        *found("backups", Severity.ADVICE, "missing backup", none),
        *found("backups", Severity.FAULT, "newest backup whose key-encryption key is destroyed", lost),
        *found(
            "backups",
            Severity.LATE,
            "newest backup that is more than a day old",
            [it.id for it in opens[-1:] if not fresh],
        ),
        *found(
            "backups",
            Severity.LATE,
            "newest backup, and none was restored in a drill for a month",
            [it.id for it in opens[-1:] if not tried],
        ),
        *found("backups", Severity.LATE, "backups kept for longer than they may be", over),
    ]


async def _staff(look: Look) -> Findings:
    """Whether the staff's training and acknowledgements of policies are in force."""
    expired_ids = await look.ids(
        "SELECT id FROM rights.staff WHERE left_at IS NULL AND expires_first < %s ORDER BY id",
        look.now.date(),
    )
    return await look.count("SELECT count(*) FROM rights.staff WHERE left_at IS NULL"), found(
        "staff",
        Severity.LATE,
        "members whose training or acknowledgement of a policy has expired",
        expired_ids,
    )


async def _accesses(look: Look) -> Findings:
    """Whether somebody looked at more than they used to."""
    unusual = await look.ids(
        "SELECT DISTINCT actor_id FROM access.unusual WHERE found_at > %s ORDER BY actor_id",
        look.now - UNUSUAL_SINCE,
    )
    number = await look.count("SELECT coalesce(sum(entries), 0) FROM access.batches")
    return number, found("accesses", Severity.ADVICE, "actors whose access was unusual in 30 days", unusual)


CHECKS: Final = (
    Check(
        "retention", "Is what is past its retention gone?", "GDPR 5(1)(e); PCI DSS 3.2; PIPL 19", _retention
    ),
    Check("keys", "Is the key store whole, and do its epochs turn?", "GDPR 32; PCI DSS 3.7", _keys),
    Check("ledger", "Is the ledger of erasures whole?", "GDPR 17", _ledger),
    Check("proofs", "Is the log in the signed tree?", "GDPR 5(2); PCI DSS 10.3; HIPAA 164.312(c)", _proofs),
    Check("backups", "Would a backup help?", "GDPR 32(1)(c); HIPAA 164.308(a)(7)", _backups),
    Check("staff", "Is everybody trained, and bound by the policies?", "GDPR 39(1)(b); PCI DSS 12.6", _staff),
    Check("accesses", "Did anybody look at more than they used to?", "HIPAA 164.308(a)(1)(ii)(D)", _accesses),
)
