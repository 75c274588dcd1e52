"""Bodies that are accepted."""

from typing import Any


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
