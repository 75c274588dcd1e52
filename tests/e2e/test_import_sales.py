"""The real sales files, imported; every figure is computed again from the CSV by other code."""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from domain.values import ErasureGround, Stage
from infra.bootstrap import System
from infra.importing.drafts import Names
from projections.analytics import WinRateBy
from projections.pipeline import LeadFilter
from services.ports import CommandContext
from tests.e2e.importing import count, imported, projected, system_on

pytestmark = pytest.mark.data
STAGES = {"Won": Stage.WON, "Lost": Stage.LOST, "Engaging": Stage.ENGAGED, "Prospecting": Stage.NEW}
EVERYTHING = LeadFilter()


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "sales-opportunities" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def id_of(system: System, kind: str, key: str) -> UUID:
    return Names(system.blind, "maven").id(kind, key)


async def import_all(system: System, shared_data: Path, folder: Path) -> None:
    """In the order that depends most: leads first, what they name after them."""
    files = {
        "maven-leads": "sales_pipeline.csv",
        "maven-accounts": "accounts.csv",
        "maven-members": "sales_teams.csv",
    }
    for mapping, name in files.items():
        report = await imported(system, shared_data / "sales-opportunities" / name, mapping, folder)
        assert report.complete
    await projected(system)


async def test_the_sales_files_come_to_the_figures_of_their_csv(
    database_url: str, shared_data: Path, tmp_path: Path
) -> None:
    rows = table(shared_data, "sales_pipeline.csv")
    counts = Counter(STAGES[row["deal_stage"]] for row in rows)
    worth = sum((Decimal(row["close_value"]) for row in rows if row["deal_stage"] == "Won"), Decimal(0))
    assert (counts[Stage.WON], worth) == (4_238, Decimal(10_005_534))
    async with system_on(database_url, tmp_path) as system:
        await import_all(system, shared_data, tmp_path)
        totals = {it.stage: it for it in await system.views.pipeline.totals(EVERYTHING)}
        assert {stage: totals[stage].count for stage in counts} == counts
        (won,) = totals[Stage.WON].values
        assert (won.amount, won.currency) == (worth, "USD")
        await _check_regions(system, rows, table(shared_data, "sales_teams.csv"))
        await _check_win_rates(system, rows)
        await _check_cycle_times(system, rows)
        await _check_records(system, rows)


async def _check_regions(system: System, rows: list[dict[str, str]], teams: list[dict[str, str]]) -> None:
    office = {row["sales_agent"]: row["regional_office"] for row in teams}
    for region in set(office.values()):
        mine = [row for row in rows if office[row["sales_agent"]] == region]
        totals = await system.views.pipeline.totals(LeadFilter(region=region))
        assert sum(it.count for it in totals) == len(mine)


async def _check_win_rates(system: System, rows: list[dict[str, str]]) -> None:
    def agent(row: dict[str, str]) -> str:
        return str(id_of(system, "members", row["sales_agent"]))

    def account(row: dict[str, str]) -> str | None:
        return str(id_of(system, "customers", row["account"])) if row["account"] else None

    def product(row: dict[str, str]) -> str:
        return row["product"].replace("GTXPro", "GTX Pro")

    keys: dict[WinRateBy, Callable[[dict[str, str]], str | None]] = {
        WinRateBy.AGENT: agent,
        WinRateBy.ACCOUNT: account,
        WinRateBy.PRODUCT: product,
    }
    for by, key in keys.items():
        expected: dict[str | None, Counter[str]] = defaultdict(Counter)
        for row in rows:
            if row["deal_stage"] in ("Won", "Lost"):
                expected[key(row)][row["deal_stage"]] += 1
        found = await system.views.analytics.win_rate(by, EVERYTHING)
        closed = {it.key: {"Won": it.won, "Lost": it.lost} for it in found if it.won or it.lost}
        assert closed == expected


async def _check_cycle_times(system: System, rows: list[dict[str, str]]) -> None:
    found = await system.views.analytics.cycle_time(EVERYTHING)
    for stage, spread in (("Won", found.won), ("Lost", found.lost)):
        days = [
            (date.fromisoformat(row["close_date"]) - date.fromisoformat(row["engage_date"])).days
            for row in rows
            if row["deal_stage"] == stage
        ]
        assert spread.count == len(days)
        assert spread.mean_seconds == pytest.approx(86_400 * sum(days) / len(days))


async def _check_records(system: System, rows: list[dict[str, str]]) -> None:
    nobodys = [row for row in rows if not row["account"]]
    assert len(nobodys) == await count(system, "pipeline.leads WHERE customer_id IS NULL") == 1_425
    assert await count(system, "directory.customers WHERE sector = 'technology'") == 12
    assert await count(system, "directory.customers WHERE sector = 'technolgy'") == 0
    linked = "pipeline.leads AS it JOIN directory.customers AS of ON of.id = it.customer_id"
    assert await count(system, f"{linked} AND of.organisation = it.organisation") == len(rows) - len(nobodys)
    row = next(row for row in rows if row["deal_stage"] == "Won")
    lead = await system.views.pipeline.lead(id_of(system, "leads", row["opportunity_id"]))
    assert lead is not None
    assert lead.captured_at.date() == date.fromisoformat(row["engage_date"])
    assert lead.closed_at is not None
    assert lead.closed_at.date() == date.fromisoformat(row["close_date"])


async def test_a_repeated_import_adds_nothing(database_url: str, shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "sales-opportunities" / "sales_pipeline.csv"
    async with system_on(database_url, tmp_path) as system:
        first = await imported(system, file, "maven-leads", tmp_path)
        events = await count(system, "log.events")
        again = await imported(system, file, "maven-leads", tmp_path)
        assert (first.added, first.unchanged) == ({"leads": 8_800}, {})
        assert (again.added, again.unchanged) == ({}, {"leads": 8_800})
        assert await count(system, "log.events") == events


async def test_an_erased_agent_does_not_come_back_with_the_file(
    database_url: str, shared_data: Path, tmp_path: Path
) -> None:
    file = shared_data / "sales-opportunities" / "sales_teams.csv"
    async with system_on(database_url, tmp_path) as system:
        await imported(system, file, "maven-members", tmp_path)
        await projected(system)
        agent = table(shared_data, "sales_teams.csv")[0]["sales_agent"]
        subject = Names(system.blind, "maven").subject("members", agent)
        erasure = id_of(system, "erasures", "any")
        await system.erasures.request(
            id=erasure,
            erased_subject_id=subject,
            ground=ErasureGround.OBJECTION,
            context=CommandContext(erasure, b"erase", "test", datetime.now(UTC), erasure),
        )
        await system.erasures.run(erasure)
        events = await count(system, "log.events")
        again = await imported(system, file, "maven-members", tmp_path)
        assert again.added == {}
        assert await count(system, "log.events") == events
        assert await system.ring.erased([subject]) == {subject}
