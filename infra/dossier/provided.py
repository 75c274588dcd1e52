"""What a person provided: article 20 of the GDPR asks for this, not for what we wrote or concluded."""

from collections.abc import Mapping
from typing import Final

PROVIDED: Final[Mapping[str, frozenset[str]]] = {
    "consent.given": frozenset({"evidence"}),
    "customer.address_changed": frozenset({"address"}),
    "customer.contact_added": frozenset({"name", "role", "email", "phone"}),
    "customer.contact_changed": frozenset({"name", "role", "email", "phone"}),
    "customer.email_changed": frozenset({"email"}),
    "customer.phone_changed": frozenset({"phone"}),
    "customer.registered": frozenset({"name", "born_on", "email", "phone", "address"}),
    "customer.renamed": frozenset({"name"}),
    "lead.captured": frozenset({"name", "email", "phone"}),
    "privacy.received": frozenset({"text"}),
    "ticket.opened": frozenset({"subject", "description"}),
    "ticket.reply_received": frozenset({"text"}),
}
"""The fields that the person filled in, by the event that holds them."""

CURRENT: Final[Mapping[str, frozenset[str]]] = {
    "customer": frozenset({"name", "born_on", "email", "phone", "address", "role"}),
    "lead": frozenset({"name", "email", "phone"}),
    "ticket": frozenset({"subject", "description"}),
}
"""The same of records as they stand, by their kind."""
