"""Events that cause commands. A reaction may meet its event again: its ids follow from the event's."""

from dataclasses import dataclass
from uuid import UUID, uuid5

from domain.customer.aggregate import Customer
from domain.lead.aggregate import Lead, LeadKeepsItsCustomer
from domain.lead.events import LeadCaptured, LeadWon
from domain.model import Sealed
from domain.values import CustomerKind, EmailAddress, LawfulBasis, PhoneNumber
from services.application import Application, replay
from services.ports import CommandContext, ProcessingRestricted, Recorded, SubjectIsErased, Unsealer

CAUSES = frozenset({LeadWon.TOPIC})
"""The topics from which something follows."""

PURPOSE = "performance of the contract that the lead became"


@dataclass(frozen=True, slots=True)
class _Person:
    """What a lead says of the person behind it, unsealed; None where nothing was said, or it is erased."""

    name: str | None
    email: EmailAddress | None
    phone: PhoneNumber | None


class Reactions:
    """What follows by itself: a won lead has a customer."""

    causes = CAUSES

    def __init__(self, application: Application, unsealer: Unsealer) -> None:
        self._application = application
        self._unsealer = unsealer

    async def on(self, recorded: Recorded) -> None:
        """Do what follows from the event: once, however often it comes. From most nothing follows."""
        if isinstance(recorded.event, LeadWon):
            await self._give_customer(recorded)

    async def _give_customer(self, won: Recorded) -> None:
        """Register the buyer and link the lead, unless it has its customer. Keeps the lead's data subject."""
        events = (await self._application.store.load(won.originator_id)).events
        lead, captured = replay(Lead, won.originator_id, events), events[0]
        if lead.customer_id is not None or not isinstance(captured, LeadCaptured):
            return
        customer_id = uuid5(won.envelope.event_id, "customer")
        registered = bool((await self._application.store.load(customer_id)).events)
        if registered or await self._register(customer_id, captured, won):
            await self._link(customer_id, won)

    async def _register(self, customer_id: UUID, captured: LeadCaptured, won: Recorded) -> bool:
        """Whether there was somebody to register: an erased person has no name to be held by.

        Nor is anybody registered whose processing is restricted, unless the sale was made on a ground: their
        lead stays without a customer until somebody registers one.
        """
        person = await self._person_behind(captured)
        if not (captured.organisation or person.name):
            return False
        try:
            await self._application.create(
                lambda: _buyer(customer_id, captured, person, won), context=_because_of(won, "register")
            )
        except (SubjectIsErased, ProcessingRestricted):
            return False
        return True

    async def _person_behind(self, captured: LeadCaptured) -> _Person:
        sealed = [it for it in (captured.name, captured.email, captured.phone) if isinstance(it, Sealed)]
        opened = await self._unsealer.open(sealed)
        clear = {it.field: value for it, value in opened.items() if isinstance(value, str)}
        email, phone = clear.get("email"), clear.get("phone")
        # Not parsed anew: what is stored passed the rules of its day.
        return _Person(
            clear.get("name"),
            None if email is None else EmailAddress(email),
            None if phone is None else PhoneNumber(phone),
        )

    async def _link(self, customer_id: UUID, won: Recorded) -> None:
        try:
            await self._application.change(
                Lead,
                won.originator_id,
                lambda lead: lead.link(customer_id=customer_id),
                context=_because_of(won, "link"),
            )
        except LeadKeepsItsCustomer:
            # Somebody linked the lead by hand meanwhile: ours was registered in vain.
            await self._application.change(
                Customer, customer_id, Customer.archive, context=_because_of(won, "archive")
            )


def _buyer(customer_id: UUID, captured: LeadCaptured, person: _Person, won: Recorded) -> Customer:
    """A person; or an organisation, its subject its own, so that it outlives its contact's erasure."""
    if not captured.organisation:
        return Customer.register(
            id=customer_id,
            subject_id=captured.subject_id,
            kind=CustomerKind.PERSON,
            source=captured.source,
            lawful_basis=LawfulBasis.CONTRACT,
            purpose=PURPOSE,
            lead_id=captured.originator_id,
            name=person.name,
            email=person.email,
            phone=person.phone,
        )
    buyer = Customer.register(
        id=customer_id,
        subject_id=uuid5(won.envelope.event_id, "subject"),
        kind=CustomerKind.ORGANISATION,
        source=captured.source,
        lawful_basis=LawfulBasis.CONTRACT,
        purpose=PURPOSE,
        lead_id=captured.originator_id,
        organisation=captured.organisation,
        country=captured.country,
    )
    if person.name is not None:
        buyer.add_contact(
            contact_id=captured.subject_id, name=person.name, email=person.email, phone=person.phone
        )
    return buyer


def _because_of(cause: Recorded, step: str) -> CommandContext:
    """A command that the event causes: the same each time, so that the log knows the repeat."""
    return CommandContext(
        command_id=uuid5(cause.envelope.event_id, step),
        request_digest=step.encode(),
        actor=cause.envelope.actor,
        occurred_at=cause.event.timestamp,
        correlation_id=cause.envelope.correlation_id,
        causation_id=cause.envelope.event_id,
        traceparent=cause.envelope.traceparent,
        on_behalf_of=cause.envelope.on_behalf_of,
        ground=cause.envelope.ground,
    )
