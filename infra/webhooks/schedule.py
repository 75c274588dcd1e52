"""When an event that did not arrive is sent again: within seconds at first, for some three days in all."""

import random
from datetime import datetime, timedelta
from typing import Final

from infra.webhooks.answers import Answer

DELAYS: Final = tuple(
    timedelta(seconds=it) for it in (5, 30, 120, 600, 1_800, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600)
)
"""After the first attempt, the second ... The last one stays."""
JITTER: Final = 0.2
PATIENCE: Final = timedelta(days=3)
AGAIN_AFTER: Final = timedelta(seconds=5)
"""When it looks as if a receiver were back, what waits for it is not sent again sooner than this."""


def next_attempt(attempts: int, answer: Answer, now: datetime, chance: random.Random) -> datetime:
    """After so many attempts. No sooner than the receiver asks for."""
    delay = DELAYS[min(attempts, len(DELAYS)) - 1] * (1 + JITTER * chance.uniform(-1, 1))
    return now + max(delay, timedelta(seconds=answer.retry_after or 0))


def is_over(failed_since: datetime, now: datetime) -> bool:
    """Whether it was tried for long enough."""
    return now - failed_since >= PATIENCE
