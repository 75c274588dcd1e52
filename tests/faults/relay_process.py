"""A relay in a process of its own, to be killed or stopped.

Arguments: database URL, broker, namespace, the seconds that its lease may be silent, and how many events it
publishes at a time. At SIGUSR1 it stops itself at the worst moment: it has made sure that it may publish, and
the next thing that it does is to send.
"""

import asyncio
import os
import signal
import sys
from types import FrameType
from typing import Any

from kafka.net.transport import KafkaTCPTransport

from infra.eventstore.reader import FencedReader
from infra.kafka.relay import Relay
from infra.postgres.database import open_pool
from infra.postgres.relay_lease import SILENT_SECONDS_MAX, PostgresRelayLease

# In small chunks, so that there is something under way whenever it is killed.
CHUNK_EVENTS_MAX = 200
EVENTS_BYTES_MIN = 4_096


class WorstMoment:
    """Stops this process right before the bytes of events go out, once it was asked to."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGUSR1, self._ask)
        send = KafkaTCPTransport._sock_send

        def stop_and_send(transport: Any) -> Any:
            if self.asked and sum(map(len, transport._write_buffer)) >= EVENTS_BYTES_MIN:
                self.asked = False
                os.kill(os.getpid(), signal.SIGSTOP)
            return send(transport)

        KafkaTCPTransport._sock_send = stop_and_send

    def _ask(self, signal_number: int, frame: FrameType | None) -> None:
        self.asked = True


async def relay(
    url: str,
    broker: str,
    namespace: str,
    silent: str = f"{SILENT_SECONDS_MAX}",
    chunk: str = f"{CHUNK_EVENTS_MAX}",
) -> None:
    WorstMoment()
    pool = await open_pool(url, size=2)
    lease = PostgresRelayLease(url, silent_seconds_max=float(silent))
    try:
        one = Relay(FencedReader(pool), broker, namespace, lease, chunk_events_max=int(chunk))
        await one.run(asyncio.Event())
    finally:
        await pool.close()


if __name__ == "__main__":
    asyncio.run(relay(*sys.argv[1:]))
