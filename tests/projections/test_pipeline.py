"""The pipeline and its figures, from commands to what they answer, on every kind of views."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from uuid_utils.compat import uuid7

from domain.values import CountryCode, CurrencyCode, LossReason, Money, Stage
from projections.analytics import Spread, WinRateBy
from projections.pipeline import FUNNEL, LeadFilter, LeadRow
from tests.projections.worlds import START, World, at

HOUR = 3600.0


def money(amount: str, currency: str = "EUR") -> Money:
    return Money(amount=Decimal(amount), currency=CurrencyCode(currency))


async def lead(world: World, hours: float = 0, *, owner: UUID | None = None, product: str = "GTX") -> UUID:
    id = uuid7()
    await world.leads.capture(
        id=id,
        subject_id=uuid7(),
        source="fair",
        campaign="spring",
        product=product,
        country=CountryCode("GB"),
        owner_id=owner,
        name="Ann Lee",
        context=at(hours),
    )
    return id


async def shown(world: World, id: UUID) -> LeadRow:
    row = await world.views.pipeline.lead(id)
    assert row is not None
    return row


def moment(hours: float) -> datetime:
    return START + timedelta(hours=hours)


async def test_a_lead_is_shown_with_its_stage_value_and_times_all_the_way(world: World) -> None:
    id, neighbour = await lead(world), await lead(world)
    owner, customer = uuid7(), uuid7()
    await world.leads.contact(id=id, context=at(1))
    await world.leads.qualify(id=id, value=money("1000"), context=at(2))
    await world.leads.contact(id=id, context=at(3))
    await world.leads.propose(id=id, value=money("1250.50"), context=at(4))
    await world.leads.revalue(id=id, value=money("1200"), context=at(5))
    await world.leads.assign(id=id, owner_id=owner, context=at(6))
    await world.leads.link(id=id, customer_id=customer, context=at(7))
    await world.settle()

    row = await shown(world, id)
    assert (row.stage, row.furthest, row.value, row.currency) == (
        Stage.PROPOSED, Stage.PROPOSED, Decimal("1200.00"), "EUR"
    )  # fmt: skip
    assert (row.owner_id, row.customer_id, row.version) == (owner, customer, 8)
    assert (row.captured_at, row.engaged_at, row.qualified_at) == (moment(0), moment(1), moment(2))
    assert (row.proposed_at, row.closed_at, row.changed_at) == (moment(4), None, moment(7))
    assert await world.clear(row.name) == "Ann Lee"
    beside = await shown(world, neighbour)
    assert (beside.stage, beside.value, beside.version, beside.engaged_at) == (Stage.NEW, None, 1, None)

    await world.leads.win(id=id, value=money("1199.99"), context=at(8))
    await world.settle()
    row = await shown(world, id)
    assert (row.stage, row.value, row.closed_at) == (Stage.WON, Decimal("1199.99"), moment(8))


async def test_a_lost_lead_that_is_reopened_stands_where_it_is_worked_and_keeps_how_far_it_came(
    world: World,
) -> None:
    id = await lead(world)
    await world.leads.qualify(id=id, value=money("10"), context=at(1))
    await world.leads.lose(id=id, cause=LossReason.PRICE, context=at(2))
    await world.settle()
    row = await shown(world, id)
    assert (row.stage, row.furthest, row.cause, row.closed_at) == (
        Stage.LOST, Stage.QUALIFIED, LossReason.PRICE, moment(2)
    )  # fmt: skip

    await world.leads.reopen(id=id, context=at(3))
    await world.settle()
    row = await shown(world, id)
    assert (row.stage, row.furthest, row.cause, row.closed_at) == (
        Stage.ENGAGED, Stage.QUALIFIED, None, None
    )  # fmt: skip


async def test_totals_are_exact_by_stage_and_currency(world: World) -> None:
    for amount in ("0.10", "0.20", "99999999999999.70"):
        await world.leads.win(id=await lead(world), value=money(amount), context=at(1))
    await world.leads.win(id=await lead(world), value=money("5", "JPY"), context=at(1))
    await world.leads.lose(id=await lead(world), cause=LossReason.TIMING, context=at(1))
    await lead(world)
    await world.settle()

    totals = await world.views.pipeline.totals(LeadFilter())
    assert [it.stage for it in totals] == list(Stage)
    found = {it.stage: (it.count, [(str(m.amount), m.currency) for m in it.values]) for it in totals}
    assert found[Stage.WON] == (4, [("100000000000000.00", "EUR"), ("5", "JPY")])
    assert found[Stage.LOST] == (1, [])
    assert found[Stage.NEW] == (1, [])
    assert found[Stage.QUALIFIED] == (0, [])


async def test_filters_let_through_what_they_name_and_region_is_the_owners_office(world: World) -> None:
    east, west = uuid7(), uuid7()
    for id, office in ((east, "Leeds"), (west, "Wells")):
        await world.members.register(id=id, subject_id=uuid7(), name="Sam", office=office, context=at())
    first = await lead(world, 0, owner=east)
    second = await lead(world, 5, owner=west, product="MG")
    third = await lead(world, 10)
    await world.leads.win(id=first, value=money("7"), context=at(20))
    await world.leads.disqualify(id=second, context=at(30))
    await world.settle()

    async def ids(where: LeadFilter) -> list[UUID]:
        return [it.id for it in await world.views.pipeline.list_leads(where, limit=9)]

    assert await ids(LeadFilter()) == [first, second, third]
    assert await ids(LeadFilter(region="Leeds")) == [first]
    assert await ids(LeadFilter(region="Wells", product="MG")) == [second]
    assert await ids(LeadFilter(region="York")) == []
    assert await ids(LeadFilter(stage=Stage.NEW, source="fair", campaign="spring", country="GB")) == [third]
    assert await ids(LeadFilter(owner_id=west)) == [second]
    assert await ids(LeadFilter(currency="EUR")) == [first]
    assert await ids(LeadFilter(captured_from=moment(5), captured_until=moment(10))) == [second]
    assert await ids(LeadFilter(closed_from=moment(20))) == [first, second]
    assert await ids(LeadFilter(closed_from=moment(20), closed_until=moment(30))) == [first]
    totals = await world.views.pipeline.totals(LeadFilter(region="Leeds"))
    assert [(it.stage, it.count) for it in totals if it.count] == [(Stage.WON, 1)]
    page = await world.views.pipeline.list_leads(LeadFilter(), limit=1, after=first)
    assert [it.id for it in page] == [second]
    assert [it.id for it in await world.views.pipeline.leads([third, first])] == [third, first]


async def test_the_funnel_counts_how_far_leads_came_and_where_they_stand(log_world: World) -> None:
    ids = [await lead(log_world) for _ in range(5)]
    await log_world.leads.contact(id=ids[0], context=at(1))
    await log_world.leads.qualify(id=ids[1], value=money("1"), context=at(1))
    await log_world.leads.lose(id=ids[1], cause=LossReason.PRICE, context=at(2))
    await log_world.leads.win(id=ids[2], value=money("1"), context=at(2))
    await log_world.leads.disqualify(id=ids[3], context=at(2))
    await log_world.settle()

    funnel = await log_world.views.analytics.funnel(LeadFilter())
    assert [(it.stage, it.reached) for it in funnel.steps] == list(zip(FUNNEL, (5, 3, 2, 1, 1), strict=True))
    assert [it.of_all for it in funnel.steps] == [1.0, 0.6, 0.4, 0.2, 0.2]
    assert [it.of_previous for it in funnel.steps] == [None, 0.6, 2 / 3, 0.5, 1.0]
    assert (funnel.open, funnel.won, funnel.lost, funnel.disqualified) == (2, 1, 1, 1)
    nothing = await log_world.views.analytics.funnel(LeadFilter(product="none"))
    assert [it.of_all for it in nothing.steps] == [None] * 5


async def test_cycle_time_runs_from_capture_to_the_end(log_world: World) -> None:
    for hours in (1, 2, 4):
        await log_world.leads.win(id=await lead(log_world), value=money("1"), context=at(hours))
    await lead(log_world)
    await log_world.settle()

    times = await log_world.views.analytics.cycle_time(LeadFilter())
    assert times.lost == Spread(0, None, None, None)
    assert (times.won.count, times.won.p50_seconds, times.won.p90_seconds) == (3, 2 * HOUR, 3.6 * HOUR)
    assert times.won.mean_seconds == 7 / 3 * HOUR


async def test_win_rates_compare_agents_products_and_accounts(log_world: World) -> None:
    agent, account = uuid7(), uuid7()
    won, lost = await lead(log_world, owner=agent), await lead(log_world, owner=agent, product="MG")
    await log_world.leads.link(id=won, customer_id=account, context=at(1))
    await log_world.leads.win(id=won, value=money("10"), context=at(2))
    await log_world.leads.lose(id=lost, cause=LossReason.PRICE, context=at(2))
    await log_world.leads.win(id=await lead(log_world), value=money("20"), context=at(2))
    await lead(log_world, product="open")
    await log_world.settle()

    async def rates(by: WinRateBy) -> list[tuple[object, ...]]:
        found = await log_world.views.analytics.win_rate(by, LeadFilter())
        return [(it.key, it.won, it.lost, it.rate, sum(m.amount for m in it.values)) for it in found]

    assert await rates(WinRateBy.AGENT) == [(str(agent), 1, 1, 0.5, 10), (None, 1, 0, 1.0, 20)]
    assert await rates(WinRateBy.PRODUCT) == [("GTX", 2, 0, 1.0, 30), ("MG", 0, 1, 0.0, 0)]
    assert await rates(WinRateBy.ACCOUNT) == [(str(account), 1, 0, 1.0, 10), (None, 1, 1, 0.5, 20)]
