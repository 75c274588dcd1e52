"""Bodies that are accepted."""

from typing import Any
from uuid import uuid4


def person(**more: Any) -> dict[str, Any]:
    return {
        "kind": "person",
        "source": "web form",
        "lawful_basis": "contract",
        "purpose": "order fulfilment",
        "name": "Maya Brandt",
    } | more


def organisation(**more: Any) -> dict[str, Any]:
    facts = {"kind": "organisation", "organisation": "Brandt Maschinenbau", "name": None}
    return person() | facts | more


def ticket(**more: Any) -> dict[str, Any]:
    return {"channel": "email", "impact": "medium", "urgency": "high", "subject": "Dark display"} | more


def activity(**more: Any) -> dict[str, Any]:
    """A purpose that needs no consent, unless more is said."""
    return {
        "code": f"purpose-{uuid4().hex[:12]}",
        "name": "Order fulfilment",
        "description": "Taking, making and sending orders.",
        "lawful_basis": "contract",
        "consent_needed": False,
        "categories": ["contact"],
        "subject_kinds": ["customers"],
    } | more
