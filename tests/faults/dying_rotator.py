"""A process that rotates the key-encryption key and kills itself, as kill -9 does, where it is told."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra import rotation
from infra.kek import FileKekPlace
from infra.postgres.epochstore import rotating
from infra.rotation import Rotation
from tests.faults.sealed_log import NAMESPACE, sealed_log

STEPS: Sequence[str] = (
    "add",
    "begin",
    "page",
    "rewrap",
    "rewrap_system",
    "empty",
    "vacuum",
    "destroy",
    "end",
    "seal",
    "sealed",
)
WRITING = ("with the new KEK in a file of no name", "with the old KEK left in a file of no name")
POINTS = (*(f"{when} {step}" for step in STEPS for when in ("before", "after")), *WRITING)
NEVER = "never"
BATCH_KEYS = 20


class Death:
    """Comes at one point, without a word."""

    def __init__(self, point: str) -> None:
        self._point = point

    def at(self, point: str) -> None:
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """Something with steps, before or after any of which death may come."""

    def __init__(self, it: Any, death: Death) -> None:
        self._it = it
        self._death = death

    def __getattr__(self, step: str) -> Any:
        method = getattr(self._it, step)

        async def dying(*arguments: Any, **named: Any) -> Any:
            self._death.at(f"before {step}")
            answer = await method(*arguments, **named)
            self._death.at(f"after {step}")
            return answer

        return dying


class MortalFile(FileKekPlace):
    """Dies when the new file is written and does not have its name yet."""

    def __init__(self, path: Path, death: Death) -> None:
        super().__init__(path)
        self._death = death

    def _written(self, present: Sequence[bytes], prefix: str) -> Path:
        written = super()._written(present, prefix)
        self._death.at(WRITING[len(present) == 1])
        return written


async def rotate(url: str, kek_file: Path, point: str) -> None:
    death = Death(point)
    keks: Any = Mortal(MortalFile(kek_file, death), death)
    async with sealed_log(url, size=2, keks=FileKekPlace(kek_file)) as log, rotating(url) as store:
        sealer: Any = Mortal(log.erasures, death)
        mortal: Any = Mortal(store, death)
        await Rotation(url, keks, sealer, NAMESPACE).turn(mortal, lambda done, total: None)


def run(url: str, kek_file: Path, point: str) -> None:
    """The process's whole life."""
    rotation.BATCH_KEYS = BATCH_KEYS
    asyncio.run(rotate(url, kek_file, point))
