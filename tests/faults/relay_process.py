"""A relay in a process of its own, to be killed or stopped.

Arguments: database URL, broker, namespace, and the seconds that its lease may be silent. At SIGUSR1 it stops
itself at the worst moment: when it has made sure that it may publish, and before it does.
"""

import asyncio
import os
import signal
import sys
from types import FrameType
from typing import Any

from kafka.net.manager import KafkaConnectionManager
from kafka.protocol.producer import ProduceRequest

from infra.eventstore.reader import FencedReader
from infra.kafka.relay import Relay
from infra.postgres.database import open_pool
from infra.postgres.relay_lease import SILENT_SECONDS_MAX, PostgresRelayLease

# In small chunks, so that there is something under way whenever it is killed.
CHUNK_EVENTS = 200


class WorstMoment:
    """Stops this process right before it sends events, once it was asked to."""

    def __init__(self) -> None:
        self.asked = False
        self._send = KafkaConnectionManager.send
        sending = self._sending

        def send(manager: Any, request: Any, *given: Any, **named: Any) -> Any:
            return sending(manager, request, *given, **named)

        KafkaConnectionManager.send = send
        signal.signal(signal.SIGUSR1, self._ask)

    def _ask(self, signal_number: int, frame: FrameType | None) -> None:
        self.asked = True

    def _sending(self, manager: Any, request: Any, *given: Any, **named: Any) -> Any:
        if self.asked and isinstance(request, ProduceRequest):
            self.asked = False
            os.kill(os.getpid(), signal.SIGSTOP)
        return self._send(manager, request, *given, **named)


async def relay(url: str, broker: str, namespace: str, silent: str = str(SILENT_SECONDS_MAX)) -> None:
    WorstMoment()
    pool = await open_pool(url, size=2)
    lease = PostgresRelayLease(url, silent_seconds_max=float(silent))
    try:
        one = Relay(FencedReader(pool), broker, namespace, lease, chunk_events_max=CHUNK_EVENTS)
        await one.run(asyncio.Event())
    finally:
        await pool.close()


if __name__ == "__main__":
    asyncio.run(relay(*sys.argv[1:]))
