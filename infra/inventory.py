"""The field inventory, made from the catalogue of events, and with it the register of processing.

It cannot be out of date: what no event declares cannot be stored at all.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from domain.catalogue import AGGREGATES, layout
from domain.model import Category, Event
from domain.values import LawfulBasis, ProcessingRole
from infra.tables import Table, markdown
from projections.rights import ActivityFilter, ActivityRow, RetentionFilter, RetentionRow
from projections.subscribers import SubscriberFilter, SubscriberRow
from projections.views import Views

ROWS_MAX: Final = 10_000
REASON: Final = "reason"


class Sort(StrEnum):
    """What a field says."""

    PUBLIC = "public"
    """Nothing about a person."""
    SUBJECT = "subject"
    """Who: a pseudonym, in clear."""
    PERSONAL = "personal"
    """Something about a person: sealed under the key of the person and the category."""


class FieldEntry(BaseModel):
    """A field of an event: what it holds, and about whom."""

    model_config = ConfigDict(frozen=True)

    kind: str = Field(description="The kind of record.", examples=["customer"])
    event: str = Field(description="The stored name of the event.", examples=["customer.email_changed"])
    version: int = Field(description="Of the event's form.", examples=[1])
    field: str = Field(examples=["email"])
    sort: Sort = Field(examples=["personal"])
    category: Category | None = Field(description="Of a personal field.", examples=["contact"])
    whose: str | None = Field(
        description="Of a personal field: the field that names the person.", examples=["subject_id"]
    )


class Use(BaseModel):
    """What a category of personal data is used for, and how long records of each kind need it."""

    category: Category
    purposes: list[str] = Field(description="Codes of the living activities that name it.")
    retention: dict[str, str] = Field(description="By kind of record, in words.")
    unlimited: list[str] = Field(description="Kinds of records that hold it, and have no policy.")


class ActivityEntry(BaseModel):
    """A living activity of the register."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    name: str
    description: str
    lawful_basis: LawfulBasis
    consent_needed: bool
    categories: list[Category]
    subject_kinds: list[str]
    role: ProcessingRole
    recipients: list[str]
    third_countries: list[str]
    safeguards: str | None
    retention: str | None
    security: str | None


class SubscriberEntry(BaseModel):
    """A recipient: a program that follows the events, and what it may open of them."""

    name: str
    purpose: str = Field(description="What it follows for.")
    grants: dict[Category, str] = Field(description="The purposes, by the category that it may open.")


class Register(BaseModel):
    """The register of processing (GDPR, article 30) and the inventory of every field that can be stored."""

    namespace: str
    made_at: datetime
    activities: list[ActivityEntry]
    subscribers: list[SubscriberEntry]
    uses: list[Use]
    fields: list[FieldEntry]


def fields() -> list[FieldEntry]:
    """Every field of every event of the catalogue, in its order; and the reason that any event may carry."""
    return [
        entry for kind, events in AGGREGATES.items() for event in events for entry in _fields(kind, event)
    ]


def _fields(kind: str, event: type[Event]) -> Iterable[FieldEntry]:
    declared = layout(event)
    about = {"kind": kind, "event": event.TOPIC, "version": event.class_version}
    for name in declared.subjects:
        yield FieldEntry(**about, field=name, sort=Sort.SUBJECT, category=None, whose=None)
    for name in declared.public:
        yield FieldEntry(**about, field=name, sort=Sort.PUBLIC, category=None, whose=None)
    for name, it in declared.personal.items():
        yield FieldEntry(**about, field=name, sort=Sort.PERSONAL, category=it.category, whose=it.subject)
    whose = "subject_id" if "subject_id" in declared.subjects else "the record itself"
    if event.record_subject is not Event.record_subject:
        whose = "the record itself"
    yield FieldEntry(**about, field=REASON, sort=Sort.PERSONAL, category=Category.CONVERSATION, whose=whose)


async def register(views: Views, *, namespace: str, at: datetime) -> Register:
    """The register as the views show it now."""
    activities = await views.rights.list_activities(ActivityFilter(living=True), limit=ROWS_MAX)
    policies = await views.rights.list_policies(RetentionFilter(living=True), limit=ROWS_MAX)
    living = SubscriberFilter(living=True)
    subscribers = await views.subscribers.list_subscribers(living, limit=ROWS_MAX)
    known = fields()
    return Register(
        namespace=namespace,
        made_at=at,
        activities=[ActivityEntry.model_validate(it) for it in sorted(activities, key=lambda it: it.code)],
        subscribers=[_subscriber(it) for it in sorted(subscribers, key=lambda it: it.name)],
        uses=[_use(it, activities, policies, known) for it in Category],
        fields=known,
    )


def _subscriber(row: SubscriberRow) -> SubscriberEntry:
    grants = {Category(it["category"]): it["purpose"] for it in row.grants}
    return SubscriberEntry(name=row.name, purpose=row.purpose, grants=grants)


def _use(
    category: Category,
    activities: Sequence[ActivityRow],
    policies: Sequence[RetentionRow],
    known: Sequence[FieldEntry],
) -> Use:
    terms = {it.kind: _term(it) for it in policies if it.category == category}
    holding = {it.kind for it in known if it.category is category and it.field != REASON}
    return Use(
        category=category,
        purposes=sorted(it.code for it in activities if category in it.categories),
        retention=dict(sorted(terms.items())),
        unlimited=sorted(holding - terms.keys()),
    )


def _term(policy: RetentionRow) -> str:
    return f"{policy.days} days after {' or '.join(policy.after)}: {policy.legal_reason}"


def field_tables(known: Sequence[FieldEntry]) -> list[Table]:
    """The inventory, a table for each kind of record."""
    kinds: Mapping[str, list[FieldEntry]] = {kind: [] for kind in AGGREGATES}
    for it in known:
        kinds[it.kind].append(it)
    header = ("Event", "Version", "Field", "What it is", "Category", "Whose")
    return [
        Table(
            f"Fields of kind `{kind}`",
            header,
            [
                (it.event, str(it.version), it.field, str(it.sort), str(it.category or ""), it.whose or "")
                for it in entries
            ],
        )
        for kind, entries in kinds.items()
    ]


def register_tables(of: Register) -> list[Table]:
    """The register, ready to be shown."""
    return [
        Table("Processing activities", ACTIVITY_HEADER, [_activity_row(it) for it in of.activities]),
        Table(
            "Subscribers",
            ("Name", "Follows for", "May open"),
            [
                (
                    it.name,
                    it.purpose,
                    ", ".join(f"{category} for {why}" for category, why in it.grants.items()),
                )
                for it in of.subscribers
            ],
        ),
        Table(
            "Categories of personal data",
            ("Category", "Purposes", "Retention", "Kept without an end in"),
            [
                (
                    str(it.category),
                    ", ".join(it.purposes),
                    "; ".join(f"{kind}: {term}" for kind, term in it.retention.items()),
                    ", ".join(it.unlimited),
                )
                for it in of.uses
            ],
        ),
        *field_tables(of.fields),
    ]


ACTIVITY_HEADER: Final = (
    "Code",
    "Name and purpose",
    "Lawful basis",
    "Categories of data",
    "Whose",
    "Role",
    "Recipients",
    "Third countries and safeguards",
    "Retention",
    "Security",
)


def _activity_row(it: ActivityEntry) -> tuple[str, ...]:
    abroad = ", ".join(it.third_countries)
    return (
        it.code,
        f"{it.name}: {it.description}",
        f"{it.lawful_basis}, with consent" if it.consent_needed else str(it.lawful_basis),
        ", ".join(it.categories),
        ", ".join(it.subject_kinds),
        str(it.role),
        ", ".join(it.recipients),
        f"{abroad}: {it.safeguards}" if abroad else "",
        it.retention or "",
        it.security or "",
    )


def inventory_page() -> str:
    """`docs/inventory.md`: the inventory of this release, which needs no database."""
    return markdown("Field inventory", INVENTORY_WORDS, field_tables(fields()))


INVENTORY_WORDS: Final = (
    "Every field of every event that Lethe can store, made from the catalogue of events by "
    "`lethe audit fields`; a test holds this page to it. A field that is not declared stops the start. "
    "*public* says nothing about a person; *subject* is a person's pseudonym, in clear; *personal* is sealed "
    "under the key of the person and the category, and unreadable once that key is destroyed."
)
REGISTER_WORDS: Final = (
    "The register of processing activities (GDPR, article 30), with every field in which personal data can "
    "be stored."
)
