"""An inspection names what is missing, late or broken, each by the check it belongs to, and nothing else."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from domain.model import Category
from domain.privacyrequest.terms import RequestKind
from domain.values import (
    Channel,
    CustomerKind,
    ErasureGround,
    LawfulBasis,
    Level,
    RestrictionCause,
    SubjectKind,
)
from infra.bootstrap import System
from infra.inspection.findings import Finding, Report, Severity, as_page, in_words
from infra.inspection.inspecting import inspect
from services.backups import Backups
from services.erasures import WhenHeld
from services.ports import CommandContext, SubjectIsHeld
from services.subscribers import subscriber_of
from tests.e2e.importing import projected, system_on


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    async with system_on(database_url, tmp_path) as it:
        yield it


def context() -> CommandContext:
    return CommandContext(
        command_id=uuid7(),
        request_digest=b"",
        actor=str(uuid4()),
        occurred_at=datetime.now(UTC),
        correlation_id=uuid7(),
    )


async def looked(system: System) -> Report:
    await projected(system)
    return await inspect(system)


def of(report: Report, check: str) -> dict[str, Finding]:
    return {it.what: it for it in report.findings if it.check == check}


async def customer(system: System, basis: LawfulBasis, purpose: str) -> UUID:
    """A person's id as a data subject."""
    subject_id = uuid7()
    await system.customers.register(
        id=uuid7(),
        subject_id=subject_id,
        context=context(),
        kind=CustomerKind.PERSON,
        source="web",
        lawful_basis=basis,
        purpose=purpose,
        name="Maya Brandt",
    )
    return subject_id


async def activity(system: System, code: str, **more: Any) -> None:
    entry: dict[str, Any] = {
        "name": "Orders",
        "description": "Taking and sending orders.",
        "lawful_basis": LawfulBasis.CONTRACT,
        "consent_needed": False,
        "categories": (Category.IDENTITY,),
        "subject_kinds": (SubjectKind.CUSTOMERS,),
        "retention": "ten years",
        "security": "sealed at rest",
    }
    await system.activities.register(code=code, context=context(), **entry | more)


async def test_a_new_installation_is_well_and_is_advised(system: System) -> None:
    report = await looked(system)
    assert report.well, in_words(report)
    assert {it.check for it in report.findings} == {"register", "retention", "backups"}
    assert {it.severity for it in report.findings} == {Severity.ADVICE}


async def test_a_customer_on_consent_without_a_consent_is_a_fault(system: System) -> None:
    await activity(system, "orders")
    await activity(system, "news", lawful_basis=LawfulBasis.CONSENT, consent_needed=True)
    await customer(system, LawfulBasis.CONTRACT, "orders")
    with_consent = await customer(system, LawfulBasis.CONSENT, "news")
    await system.consents.give(
        subject_id=with_consent,
        purpose="news",
        channel=None,
        wording_version="1",
        source="web",
        context=context(),
    )
    assert of(await looked(system), "basis") == {}
    await customer(system, LawfulBasis.CONSENT, "news")
    await customer(system, LawfulBasis.CONTRACT, "something else")
    report = await looked(system)
    found = of(report, "basis")
    assert found["customers on consent, of whom no living consent is recorded"].number == 1
    assert found["purposes of customers that no activity names"].examples == ("something else",)
    assert not report.well


async def test_an_entry_of_the_register_that_says_too_little_is_a_fault(system: System) -> None:
    await activity(system, "orders")
    await activity(system, "mailing", security=None, retention=None)
    found = of(await looked(system), "register")
    assert {what: it.examples for what, it in found.items()} == {
        "activities without a word on retention": ("mailing",),
        "activities without a word on security": ("mailing",),
    }


async def test_a_privacy_request_past_its_deadline_is_late(system: System) -> None:
    subject_id = await customer(system, LawfulBasis.CONTRACT, "orders")
    received: dict[str, Any] = {
        "kind": RequestKind.ACCESS,
        "channel": Channel.EMAIL,
        "subject_id": subject_id,
    }
    late, soon = uuid7(), uuid7()
    today = datetime.now(UTC).date()
    await system.privacy_requests.receive(
        id=late, received_on=today - timedelta(days=60), context=context(), **received
    )
    await system.privacy_requests.receive(
        id=soon, received_on=today - timedelta(days=27), context=context(), **received
    )
    await system.privacy_requests.receive(id=uuid7(), received_on=today, context=context(), **received)
    found = of(await looked(system), "requests")
    assert {it.severity: it.examples for it in found.values()} == {
        Severity.LATE: (str(late),),
        Severity.ADVICE: (str(soon),),
    }


async def test_an_old_key_epoch_and_a_strange_key_are_found(system: System) -> None:
    assert of(await looked(system), "keys") == {}
    strange = await system.keks.add()
    async with system.pool.connection() as connection:
        await connection.execute("UPDATE keys.epochs SET began_at = now() - interval '100 days'")
    found = of(await looked(system), "keys")
    assert found["key epoch that should have turned"].examples == ("100 days old",)
    assert found["things in the key store that should not be"].examples == (
        f"KEK {strange.id} is of no epoch (1)",
    )


async def test_a_changed_ledger_is_found(system: System) -> None:
    subject_id = await customer(system, LawfulBasis.CONTRACT, "orders")
    asked = await system.erasures.request(
        id=uuid7(), erased_subject_id=subject_id, ground=ErasureGround.OBJECTION, context=context()
    )
    await system.erasures.run(asked.id)
    assert of(await looked(system), "ledger") == {}
    ledger = system.settings.ledger_path
    ledger.write_bytes(ledger.read_bytes().replace(str(subject_id).encode(), str(uuid4()).encode()))
    [broken] = of(await looked(system), "ledger").values()
    assert broken.severity is Severity.FAULT
    assert "line 1" in broken.examples[0]


async def test_a_subscriber_that_has_not_acknowledged_for_more_than_a_week_is_late(system: System) -> None:
    long_ago = replace(context(), occurred_at=datetime.now(UTC) - timedelta(days=20))
    for name in ("mirror", "post", "gone"):
        await system.subscribers.register(
            name=name, purpose="support", context=replace(long_ago, command_id=uuid7())
        )
    await system.subscribers.end(id=subscriber_of("gone"), context=context())
    erased = []
    for days in (9, 8, 6):
        asked = await system.erasures.repeat(
            id=uuid7(),
            erased_subject_id=await customer(system, LawfulBasis.CONTRACT, "orders"),
            ground=ErasureGround.OBJECTION,
            categories=(),
            context=replace(long_ago, command_id=uuid7()),
            erased_at=datetime.now(UTC) - timedelta(days=days),
        )
        erased.append(asked.id)
    await system.erasures.acknowledge(id=erased[0], subscriber="mirror", context=context())
    for id in erased[:2]:
        await system.erasures.acknowledge(id=id, subscriber="post", context=context())
    found = of(await looked(system), "erasures")
    late = found["subscribers that have not acknowledged erasures of more than a week ago"]
    assert (late.severity, late.examples) == (Severity.LATE, ("mirror: 1",))


async def test_an_erasure_that_was_asked_for_and_is_not_done_is_late_unless_a_hold_keeps_it(
    system: System,
) -> None:
    long_ago = replace(context(), occurred_at=datetime.now(UTC) - timedelta(hours=2))

    async def asked(when: CommandContext, subject_id: UUID) -> UUID:
        outcome = await system.erasures.request(
            id=uuid7(),
            erased_subject_id=subject_id,
            ground=ErasureGround.OBJECTION,
            context=replace(when, command_id=uuid7()),
            when_held=WhenHeld.QUEUE,
        )
        return outcome.id

    ann, ben, eve = [await customer(system, LawfulBasis.CONTRACT, "orders") for _ in range(3)]
    await system.holds.place(id=uuid7(), matter="1", subject_ids=[ben], context=context())
    forgotten, held, fresh = (
        await asked(long_ago, ann),
        await asked(long_ago, ben),
        await asked(context(), eve),
    )
    with pytest.raises(SubjectIsHeld):
        await system.erasures.run(held)
    found = {what: it.examples for what, it in of(await looked(system), "erasures").items()}
    assert found == {
        "erasures that were asked for and are not done": (str(forgotten),),
        "erasures that a legal hold keeps waiting": (str(held),),
    }
    await system.erasures.run(forgotten)
    await system.erasures.run(fresh)
    assert of(await looked(system), "erasures").keys() == {"erasures that a legal hold keeps waiting"}


async def test_what_is_past_its_retention_for_days_is_late(system: System) -> None:
    await system.retentions.set(
        kind="ticket",
        category=Category.CONVERSATION,
        days=30,
        after=("ticket.closed",),
        legal_reason="limitation of claims",
        context=context(),
    )

    async def closed(days_ago: int) -> UUID:
        """Whom a ticket is about that was closed then."""
        id, about = uuid7(), uuid7()
        then = replace(context(), occurred_at=datetime.now(UTC) - timedelta(days=days_ago))
        opening: dict[str, Any] = {"channel": Channel.EMAIL, "impact": Level.LOW, "urgency": Level.LOW}
        await system.tickets.open(id=id, subject_id=about, context=then, subject="Dark display", **opening)
        await system.tickets.close(id=id, context=replace(then, command_id=uuid7()))
        return about

    overdue = await closed(40)
    await closed(31)  # tonight's run will take it
    found = of(await looked(system), "retention")
    assert {what: it.examples for what, it in found.items()} == {
        "categories of people's data past every policy": (str(overdue),)
    }
    await system.retention.apply(datetime.now(UTC))
    assert of(await looked(system), "retention") == {}


async def test_a_backup_that_is_old_or_kept_for_too_long_is_late(system: System) -> None:
    about: dict[str, Any] = {"file": "monday", "size_bytes": 1, "sha256": "ab" * 32, "snapshot_position": 9}
    backups, at = Backups(system.application), datetime.now(UTC)
    keep = timedelta(days=system.settings.backup_keep_days)
    old, late, fresh = uuid7(), uuid7(), uuid7()
    for id, made_at in ((old, at - keep - timedelta(days=1)), (late, at - timedelta(hours=25))):
        await backups.make(id=id, context=replace(context(), occurred_at=made_at), epoch=1, **about)
        await backups.verify(id=id, context=context(), events=1, boxes_opened=1)
    found = {what: it.examples for what, it in of(await looked(system), "backups").items()}
    assert found == {
        "newest backup that is more than a day old": (str(late),),
        "backups kept for longer than they may be": (str(old),),
    }
    await backups.make(id=fresh, context=context(), epoch=1, **about)
    await backups.delete(id=old, context=context())
    assert of(await looked(system), "backups") == {}


async def test_a_backup_that_nothing_opens_any_more_is_a_fault(system: System) -> None:
    await customer(system, LawfulBasis.CONTRACT, "orders")
    about: dict[str, Any] = {"file": "monday", "size_bytes": 1, "sha256": "ab" * 32, "snapshot_position": 9}
    made = uuid7()
    backups = Backups(system.application)
    await backups.make(id=made, context=context(), epoch=1, **about)
    assert {it.severity for it in of(await looked(system), "backups").values()} == {Severity.LATE}  # no drill
    await backups.verify(id=made, context=context(), events=1, boxes_opened=1)
    assert of(await looked(system), "backups") == {}
    await system.rotation.run(lambda done, total: None)
    [lost] = of(await looked(system), "backups").values()
    assert (lost.severity, lost.examples) == (Severity.FAULT, (str(made),))


async def test_a_member_whose_training_has_expired_is_late(system: System) -> None:
    id, today = uuid7(), datetime.now(UTC).date()
    await system.members.register(id=id, subject_id=uuid7(), context=context(), name="Amina Keller")
    course: dict[str, Any] = {
        "course": "privacy-basics",
        "version": "2026",
        "on": today - timedelta(days=400),
    }
    await system.members.train(id=id, context=context(), expires_on=today - timedelta(days=1), **course)
    [late] = of(await looked(system), "staff").values()
    assert late.examples == (str(id),)
    await system.members.train(id=id, context=context(), expires_on=today, **course | {"on": today})
    assert of(await looked(system), "staff") == {}


async def test_holds_and_restrictions_of_more_than_a_year_are_to_be_looked_at(system: System) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=400)
    old, young = uuid7(), uuid7()
    await system.holds.place(id=old, matter="1", context=replace(context(), occurred_at=long_ago))
    await system.holds.place(id=young, matter="2", context=context())
    restricted = await system.restrictions.impose(
        subject_id=await customer(system, LawfulBasis.CONTRACT, "orders"),
        cause=RestrictionCause.LEGAL_CLAIMS,
        context=replace(context(), occurred_at=long_ago),
    )
    found = of(await looked(system), "standing")
    assert found["legal holds that stand for more than a year"].examples == (str(old),)
    assert found["restrictions that stand for more than a year"].examples == (str(restricted.id),)
    assert {it.severity for it in found.values()} == {Severity.ADVICE}


async def test_a_consent_that_is_over_and_still_called_given_is_late(system: System) -> None:
    await activity(system, "orders")
    subject_id, today = await customer(system, LawfulBasis.CONTRACT, "orders"), datetime.now(UTC).date()
    await projected(system)
    given: dict[str, Any] = {"purpose": "orders", "wording_version": "1", "source": "web"}
    over = await system.consents.give(
        subject_id=subject_id, context=context(), expires_on=today - timedelta(days=1), **given
    )
    await system.consents.give(
        subject_id=subject_id,
        context=context(),
        channel=Channel.PHONE,
        expires_on=today + timedelta(days=1),
        **given,
    )
    [late] = of(await looked(system), "consents").values()
    assert (late.severity, late.examples) == (Severity.LATE, (str(over.id),))


async def test_jobs_that_do_not_come_back_or_fail_are_found(system: System) -> None:
    async with system.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO schedule.jobs (name, every_seconds, state, succeeded_at, next_at) VALUES"
            " ('well', 60, 'done', now(), now() + interval '1 minute'),"
            " ('forgotten', 60, 'waiting', NULL, now() - interval '2 minutes'),"
            " ('stuck', 60, 'running', now() - interval '4 minutes', now() + interval '1 minute'),"
            " ('broken', 60, 'failed', now(), now() + interval '1 minute')"
        )
    found = of(await looked(system), "jobs").values()
    assert {it.severity: it.examples for it in found} == {
        Severity.LATE: ("forgotten", "stuck"),
        Severity.FAULT: ("broken",),
    }


async def test_a_tree_that_refuses_to_grow_is_found(system: System) -> None:
    async with system.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO audit.trees VALUES ('log', 0, 0, %s, 'the log differs') ON CONFLICT (log)"
            " DO UPDATE SET fault = excluded.fault",
            [bytes(32)],
        )
    assert of(await looked(system), "proofs")["trees that refuse to grow"].examples == ("log",)


async def test_a_tree_without_a_fresh_checkpoint_is_late(system: System) -> None:
    async with system.pool.connection() as connection:
        await connection.execute("INSERT INTO audit.trees VALUES ('log', 7, 7, %s, NULL)", [bytes(32)])
        await connection.execute(
            "INSERT INTO audit.checkpoints VALUES ('log', 6, %s, '', now() - interval '2 hours', 1)",
            [bytes(32)],
        )
        found = of(await looked(system), "proofs")
        assert {what: it.examples for what, it in found.items()} == {
            "trees without a fresh checkpoint": ("log",)
        }
        for mends in ("SET size = 7", "SET size = 6, made_at = now() - interval '30 minutes'"):
            await connection.execute(b"UPDATE audit.checkpoints " + mends.encode())
            assert of(await looked(system), "proofs") == {}


async def test_actors_who_saw_more_than_they_used_to_are_named_for_a_month(system: System) -> None:
    lately, before = uuid7(), uuid7()
    async with system.pool.connection() as connection:
        for actor_id, days in ((lately, 29), (before, 31)):
            await connection.execute(
                "INSERT INTO access.unusual (actor_id, measure, since, measured, usual, most, found_at)"
                " VALUES (%s, 'pages', now(), 300, 20, 120, now() - make_interval(days => %s))",
                [actor_id, days],
            )
    [unusual] = of(await looked(system), "accesses").values()
    assert (unusual.severity, unusual.examples) == (Severity.ADVICE, (str(lately),))


async def test_the_page_shows_every_finding_and_lets_no_markup_in(system: System) -> None:
    await customer(system, LawfulBasis.CONSENT, "<script>alert(1)</script>")
    report = await looked(system)
    page = as_page(report)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert all(it.what in page for it in report.findings)
    assert all(check.name in in_words(report) for check in report.checks)
