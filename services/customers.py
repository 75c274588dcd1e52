"""What can be asked of customers: one method a command, named as the aggregate names it."""

from collections.abc import Collection
from typing import Unpack
from uuid import UUID

from domain.customer.aggregate import Customer, Registration
from domain.values import EmailAddress, PhoneNumber
from services.application import Application, Target
from services.ports import CommandContext, Outcome


class Customers:
    """Commands to customers. Each answers with the version and the log position it led to."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def register(
        self, *, id: UUID, subject_id: UUID, context: CommandContext, **facts: Unpack[Registration]
    ) -> Outcome:
        return await self._application.create(
            lambda: Customer.register(id=id, subject_id=subject_id, **facts), context=context
        )

    async def rename(
        self, *, name: str | None = None, organisation: str | None = None, **to: Unpack[Target]
    ) -> Outcome:
        return await self._application.change(
            Customer, decide=lambda customer: customer.rename(name=name, organisation=organisation), **to
        )

    async def change_email(self, *, email: EmailAddress | None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Customer, decide=lambda customer: customer.change_email(email=email), **to
        )

    async def change_phone(self, *, phone: PhoneNumber | None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Customer, decide=lambda customer: customer.change_phone(phone=phone), **to
        )

    async def change_address(self, *, address: str | None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Customer, decide=lambda customer: customer.change_address(address=address), **to
        )

    async def add_contact(
        self,
        *,
        contact_id: UUID,
        name: str,
        role: str | None = None,
        email: EmailAddress | None = None,
        phone: PhoneNumber | None = None,
        **to: Unpack[Target],
    ) -> Outcome:
        return await self._application.change(
            Customer,
            decide=lambda customer: customer.add_contact(
                contact_id=contact_id, name=name, role=role, email=email, phone=phone
            ),
            **to,
        )

    async def change_contact(
        self,
        *,
        contact_id: UUID,
        name: str,
        role: str | None = None,
        email: EmailAddress | None = None,
        phone: PhoneNumber | None = None,
        **to: Unpack[Target],
    ) -> Outcome:
        return await self._application.change(
            Customer,
            decide=lambda customer: customer.change_contact(
                contact_id=contact_id, name=name, role=role, email=email, phone=phone
            ),
            **to,
        )

    async def remove_contact(self, *, contact_id: UUID, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Customer, decide=lambda customer: customer.remove_contact(contact_id=contact_id), **to
        )

    async def assign(self, *, owner_id: UUID | None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Customer, decide=lambda customer: customer.assign(owner_id=owner_id), **to
        )

    async def segment(self, *, segment: str | None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Customer, decide=lambda customer: customer.segment(segment=segment), **to
        )

    async def tag(self, *, tags: Collection[str], **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Customer, decide=lambda customer: customer.tag(tags=tags), **to)

    async def write_note(self, *, text: str, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Customer, decide=lambda customer: customer.write_note(text=text), **to
        )

    async def archive(self, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Customer, decide=lambda customer: customer.archive(), **to)

    async def reinstate(self, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Customer, decide=lambda customer: customer.reinstate(), **to)
