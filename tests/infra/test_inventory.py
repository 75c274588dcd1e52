"""The field inventory and the register: made from what the program is held to, and safe to show."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from domain.catalogue import EVENTS, layout
from domain.model import Category
from domain.values import LawfulBasis, SubjectKind
from infra.inventory import REASON, Sort, fields, inventory_page, register, register_tables
from infra.memory.tokens import MemoryTokenStore
from infra.memory.views import MemoryViews
from infra.subscribertokens import ScopedSubscriberTokens
from infra.tables import Table, html, markdown
from services.subscribers import Subscribers, subscriber_of
from tests.rightsworlds import RightsWorld, rights_world

PAGE = Path(__file__).parents[2] / "docs" / "inventory.md"


def test_the_page_is_in_step_with_the_catalogue() -> None:
    assert PAGE.read_text() == inventory_page(), "run `lethe audit fields > docs/inventory.md`"


def test_every_field_of_every_event_is_in_the_inventory_once_as_it_is_declared() -> None:
    told = {(it.event, it.field): it for it in fields()}
    assert len(told) == len(fields())
    for topic, event in EVENTS.items():
        declared = layout(event)
        names = {field for of, field in told if of == topic}
        assert names == {*declared.subjects, *declared.public, *declared.personal, REASON}
        for name, it in declared.personal.items():
            entry = told[topic, name]
            assert (entry.sort, entry.category, entry.whose) == (Sort.PERSONAL, it.category, it.subject)
        assert {told[topic, it].sort for it in declared.public} <= {Sort.PUBLIC}
        assert {told[topic, it].sort for it in declared.subjects} <= {Sort.SUBJECT}


def test_a_reason_is_the_persons_unless_the_event_says_otherwise() -> None:
    whose = {it.event: it.whose for it in fields() if it.field == REASON}
    assert whose["customer.renamed"] == "subject_id"
    assert {whose[it] for it in ("erasure.requested", "hold.lifted", "activity.retired")} == {
        "the record itself"
    }


async def test_the_register_says_of_each_category_what_for_and_how_long(tmp_path: Path) -> None:
    async with rights_world(None, tmp_path) as world:
        await kept(world)
        assert isinstance(world.views, MemoryViews)
        found = await register(world.views, namespace="main", at=datetime(2026, 3, 4, tzinfo=UTC))
    assert [it.code for it in found.activities] == ["news", "orders"]
    grants = {Category.CONTACT: "news", Category.IDENTITY: "orders"}
    assert [(it.name, it.purpose, it.grants) for it in found.subscribers] == [("mailer", "news", grants)]
    uses = {it.category: it for it in found.uses}
    assert uses[Category.CONTACT].purposes == ["news"]
    assert uses[Category.CONVERSATION].retention == {"ticket": "30 days after ticket.closed: limitation"}
    assert "ticket" not in uses[Category.CONVERSATION].unlimited
    assert {"customer", "lead"} <= set(uses[Category.CONVERSATION].unlimited)
    page = html("Register", "words", register_tables(found))
    assert "news: &lt;b&gt;News&lt;/b&gt;" not in page
    assert "&lt;b&gt;News&lt;/b&gt;: Monthly | news." in page
    assert "identity for orders, contact for news" in page


async def kept(world: RightsWorld) -> None:
    says: dict[str, Any] = {
        "name": "<b>News</b>",
        "description": "Monthly | news.",
        "lawful_basis": LawfulBasis.CONTRACT,
        "consent_needed": False,
        "categories": (Category.CONTACT,),
        "subject_kinds": (SubjectKind.CUSTOMERS,),
    }
    term: dict[str, Any] = {"days": 30, "after": ("ticket.closed",), "legal_reason": "limitation"}
    await world.activities.register(code="news", context=world.command(), **says)
    says["categories"] = (Category.IDENTITY,)
    await world.activities.register(code="orders", context=world.command(), **says)
    gone = await world.activities.register(code="gone", context=world.command(), **says)
    await world.activities.retire(id=gone.id, context=world.command())
    subscribers = Subscribers(world.application, tokens=ScopedSubscriberTokens(MemoryTokenStore(world.clock)))
    for name in ("mailer", "old"):
        await subscribers.register(name=name, purpose="news", context=world.command())
    mailer = subscriber_of("mailer")
    await subscribers.grant(id=mailer, categories=[Category.CONTACT], context=world.command())
    await subscribers.grant(
        id=mailer, categories=[Category.IDENTITY], purpose="orders", context=world.command()
    )
    await subscribers.end(id=subscriber_of("old"), context=world.command())
    talk = Category.CONVERSATION
    await world.retentions.set(kind="ticket", category=talk, context=world.command(), **term)
    await world.follow()


def test_what_is_in_a_table_stays_in_its_cell() -> None:
    table = Table("T", ("a", "b"), [("x | y\n<script>", "[z](u) `c`")])
    written = markdown("Title", "Words.", [table, Table("Empty", ("a",), [])])
    assert "| x \\| y &lt;script&gt; | \\[z\\](u) \\`c\\` |" in written
    assert written.endswith("## Empty\n\nNone.\n")
    page = html("T & t", "<w>", [table])
    assert "<script>" not in page
    assert "<title>T &amp; t</title>" in page
