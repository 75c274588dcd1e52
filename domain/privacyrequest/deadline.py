"""Until when a privacy request is answered: one month, and up to two more (GDPR, article 12(3)).

Counted by Regulation (EEC, Euratom) 1182/71, article 3, as the EDPB reads it (Guidelines 01/2022, 5.3):
from the day of receipt to the end of the day of the same date, or of the month's last day where there is no
such date; from a Saturday or Sunday on to the end of the next working day. Public holidays would move it too;
they differ by place and are left out: then it is due a day earlier than the law asks, never later.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from domain.privacyrequest.terms import Notice

MONTHS: Final = 1
EXTENSION_MONTHS_MAX: Final = 2
SATURDAY: Final = 5


def due_on(received_on: date, *, extended_by: int = 0) -> date:
    """The last day to answer. Months are added to the day of receipt at once: 31 January + 3 is 30 April."""
    day = _same_date(received_on, MONTHS + extended_by)
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() >= SATURDAY else 0)


def ends_at(due_on: date) -> datetime:
    """The moment after which it is late: the end of that day, in UTC."""
    return datetime.combine(due_on + timedelta(days=1), time(0), UTC)


def is_overdue(due_on: date, at: datetime) -> bool:
    """Whether the day is over."""
    return at >= ends_at(due_on)


def notice_due(due_on: date, at: datetime) -> Notice | None:
    """The most urgent thing to say of the deadline at this moment."""
    left = (due_on - at.astimezone(UTC).date()).days
    if left < 0:
        return Notice.OVERDUE
    if left <= 2:
        return Notice.TWO_DAYS_LEFT
    return Notice.WEEK_LEFT if left <= 7 else None


def _same_date(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
