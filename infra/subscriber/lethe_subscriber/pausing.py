"""How long to leave alone what did not answer: longer each time, and not all at the same moment."""

import random
from typing import Final

SECONDS_MIN: Final = 0.2
SECONDS_MAX: Final = 30.0


class Pause:
    """The seconds to wait after each failure in a row."""

    def __init__(self) -> None:
        self._seconds = SECONDS_MIN

    def next(self, asked: float | None) -> float:
        """Doubling, with jitter; no shorter than the other side asked for."""
        jittered = self._seconds * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        self._seconds = min(self._seconds * 2, SECONDS_MAX)
        return max(jittered, asked or 0.0)

    def over(self) -> None:
        """It answered."""
        self._seconds = SECONDS_MIN
