"""What is done first: priority from impact and urgency."""

from types import MappingProxyType

from domain.values import Level, Priority

MATRIX = MappingProxyType(
    {
        (Level.HIGH, Level.HIGH): Priority.CRITICAL,
        (Level.HIGH, Level.MEDIUM): Priority.HIGH,
        (Level.HIGH, Level.LOW): Priority.MEDIUM,
        (Level.MEDIUM, Level.HIGH): Priority.HIGH,
        (Level.MEDIUM, Level.MEDIUM): Priority.MEDIUM,
        (Level.MEDIUM, Level.LOW): Priority.LOW,
        (Level.LOW, Level.HIGH): Priority.MEDIUM,
        (Level.LOW, Level.MEDIUM): Priority.LOW,
        (Level.LOW, Level.LOW): Priority.LOW,
    }
)
"""Priority by (impact, urgency): the matrix of ITIL 4, incident management, in four steps."""


def priority_of(*, impact: Level, urgency: Level) -> Priority:
    return MATRIX[impact, urgency]
