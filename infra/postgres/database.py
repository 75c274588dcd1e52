"""The pool of connections to PostgreSQL."""

from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.pq import ConnStatus
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg.waiting import Ready, Wait
from psycopg_pool import AsyncConnectionPool

from infra import json
from infra.outage import unavailable_on_outage

T = TypeVar("T")
Pool = AsyncConnectionPool[AsyncConnection[Any]]

# A transaction that sits idle with a transaction id holds up every reader of the log.
IDLE_IN_TRANSACTION_SECONDS_MAX = 30
OPEN_SECONDS_MAX = 10.0
WAIT_SECONDS_MAX = 3.0
SILENCE_MILLISECONDS_MAX = 15_000  # after which a server that does not even acknowledge counts as gone


class SendingConnection(AsyncConnection[Any]):
    """A connection that sends all of a long statement in pipeline mode too.

    There psycopg (3.3) tries once to send what is queued, then waits for answers: of a statement longer than
    the socket's buffer (some 200 kB) the rest would stay behind, and both sides would wait for ever.
    """

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        result = await super().wait(gen, interval, timeout)
        if self.pgconn.status == ConnStatus.OK and self.pgconn.flush():
            await super().wait(_send_rest(self), interval)
        return result


def _send_rest(connection: AsyncConnection[Any]) -> PQGen[None]:
    ready: Ready | int = Ready.NONE
    while connection.pgconn.flush():
        ready = yield Wait.RW
        if ready & Ready.R:
            connection.pgconn.consume_input()
    # And until there is room for the short message that follows, such as a sync.
    while not ready & Ready.W:
        ready = yield Wait.W


async def open_pool(
    url: str, *, size: int, application_name: str = "lethe", timeout_seconds: float = OPEN_SECONDS_MAX
) -> Pool:
    """A pool of up to `size` autocommit connections, one of them open already.

    Statements are prepared at first use. Raises `Unavailable` where there is no answer in time; so does
    whatever uses the pool inside `unavailable_on_outage`, after 3 s.
    """
    pool: Pool = AsyncConnectionPool(
        url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=WAIT_SECONDS_MAX,
        reconnect_timeout=timeout_seconds,
        name=application_name,
        connection_class=SendingConnection,
        configure=_configure,
        kwargs={
            "autocommit": True,
            "prepare_threshold": 0,
            "application_name": application_name,
            "tcp_user_timeout": SILENCE_MILLISECONDS_MAX,
            "options": f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS_MAX}s",
        },
    )
    with unavailable_on_outage():
        try:
            await pool.open(wait=True, timeout=timeout_seconds)
        except BaseException:
            await pool.close()
            raise
    return pool


async def _configure(connection: AsyncConnection[Any]) -> None:
    set_json_dumps(json.encode, connection)
    set_json_loads(json.decode, connection)
