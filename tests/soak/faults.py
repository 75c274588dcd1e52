"""What goes wrong in a soak: each fault is really caused, and ends only when it has come to something."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import psutil
import psycopg

from tests.running import Lethe
from tests.soak.site import Mirror, Site

AWAY_SECONDS_MAX: Final = 5.0
IDLE_SECONDS_MAX: Final = 2
STOPPED_SECONDS_MAX: Final = 8.0
BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lethe%'"
)
Cause = Callable[[Site, random.Random], Awaitable[None]]


class Fault(NamedTuple):
    """`row` is that of the fault matrix, or what else it is about."""

    row: str
    name: str
    cause: Cause


async def api_killed(site: Site, chance: random.Random) -> None:
    await asyncio.to_thread(site.api.kill)
    await asyncio.to_thread(site.api.start)


async def relay_killed(site: Site, chance: random.Random) -> None:
    with site.fleet() as fleet:
        await fleet.until(lambda: _leads(site))
        active = site.relays[fleet.leader()]
        await _killed(active)
        await fleet.reach(fleet.position() + 1)


async def relay_stopped(site: Site, chance: random.Random) -> None:
    """For so long that another takes over; then it goes on."""
    with site.fleet() as fleet:
        await fleet.connected(len(site.relays))
        await fleet.until(lambda: _leads(site))
        active = fleet.members[fleet.leader()]
        active.send_signal(signal.SIGSTOP)
        try:
            await fleet.connected(len(site.relays) - 1)
            await fleet.reach(fleet.position() + 1)
        finally:
            active.send_signal(signal.SIGCONT)
        await fleet.connected(len(site.relays))


async def projector_killed(site: Site, chance: random.Random) -> None:
    await _killed(chance.choice(site.projectors))


async def projector_stopped(site: Site, chance: random.Random) -> None:
    """For longer than its group waits for it: its partitions go to another, and it comes back."""
    process = chance.choice(site.projectors).process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(STOPPED_SECONDS_MAX)
    finally:
        process.send_signal(signal.SIGCONT)


async def sender_killed(site: Site, chance: random.Random) -> None:
    await _killed(chance.choice(site.schedulers))


async def mirror_killed(site: Site, chance: random.Random) -> None:
    await _killed(chance.choice(site.mirrors))


async def backend_killed(site: Site, chance: random.Random) -> None:
    """PostgreSQL takes this for a crash, ends every line and recovers."""
    pids = site.rows(BACKENDS)
    psutil.Process(chance.choice(pids)[0]).kill()


async def postmaster_killed(site: Site, chance: random.Random) -> None:
    assert site.server is not None
    pid = site.server.pid
    assert pid is not None
    psutil.Process(pid).kill()
    await site.until(lambda: site.rows("SELECT 1") == [(1,)], "PostgreSQL is back")


async def lines_cut(site: Site, chance: random.Random) -> None:
    pids = [pid for (pid,) in site.rows(BACKENDS)]
    site.rows(
        "SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS it (pid)",
        [chance.sample(pids, max(1, len(pids) // 3))],
    )


async def commit_answer_lost(site: Site, chance: random.Random) -> None:
    """COMMIT goes through, and the line to the API is cut before the API hears of it."""
    left = chance.randint(1, 3)

    def loses() -> int:
        nonlocal left
        left -= 1
        return int(left >= 0)

    before = site.proxy.lost
    site.proxy.loses = loses
    try:
        async with asyncio.timeout(60):
            while site.proxy.lost == before:  # noqa: ASYNC110 - a command of somebody's brings it about
                await asyncio.sleep(0.02)
    finally:
        site.proxy.loses = lambda: 0


async def idle_transaction(site: Site, chance: random.Random) -> None:
    """It draws a position, then sits idle until PostgreSQL ends it: every reader of the log waits."""
    options = f"-c idle_in_transaction_session_timeout={IDLE_SECONDS_MAX}s"
    idle = await psycopg.AsyncConnection.connect(site.url, options=options)
    try:
        await idle.execute(
            "INSERT INTO log.events (originator_id, originator_version, topic, state)"
            " VALUES (gen_random_uuid(), 1, 'lead.qualified', '')"
        )
        pid = idle.info.backend_pid
        gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        await site.until(lambda: site.rows(gone, [pid]) == [(0,)], "the idle transaction is ended")
    finally:
        await idle.close()


async def broker_killed(site: Site, chance: random.Random) -> None:
    await asyncio.to_thread(site.broker.kill)
    await asyncio.sleep(chance.random() * AWAY_SECONDS_MAX)
    await asyncio.to_thread(site.broker.start)


async def broker_stopped(site: Site, chance: random.Random) -> None:
    """It closes in good order and is away for a while."""
    await asyncio.to_thread(site.broker.stop)
    await asyncio.sleep(chance.random() * AWAY_SECONDS_MAX)
    await asyncio.to_thread(site.broker.start)


async def broker_frozen(site: Site, chance: random.Random) -> None:
    """Lines stay open, and nothing is answered."""
    site.broker.pause()
    try:
        await asyncio.sleep(chance.random() * 2 * AWAY_SECONDS_MAX)
    finally:
        site.broker.resume()


async def receiver_refuses(site: Site, chance: random.Random) -> None:
    await _answering(site, chance.choice((500, 503, 429)))


async def receiver_silent(site: Site, chance: random.Random) -> None:
    """Who waits for an answer is cut off when the receiver is itself again."""
    await _answering(site, None)
    await site.inbox.down()
    await site.inbox.up()


async def receiver_down(site: Site, chance: random.Random) -> None:
    await site.inbox.down()
    await asyncio.sleep(chance.random() * AWAY_SECONDS_MAX)
    await site.inbox.up()


async def webhook_replayed(site: Site, chance: random.Random) -> None:
    """Much that has arrived already is sent again."""
    async with site.admin() as http:
        (last,) = site.rows("SELECT coalesce(max(position), 0) FROM log.events")[0]
        answer = await http.post(
            f"/v1/webhooks/{site.webhook}/replay", json={"after": max(0, last - chance.randint(50, 500))}
        )
        answer.raise_for_status()


async def rebuild_killed(site: Site, chance: random.Random) -> None:
    """Once it has begun; the next one goes on with what it left."""
    view = chance.choice(("pipeline", "tickets", "directory", "timeline"))
    running = site.begin("rebuild", view)
    begun = "SELECT count(*) FROM views.tracking WHERE view = %s AND source = 'next'"
    await site.until(
        lambda: site.rows(begun, [view]) == [(1,)] or not _runs(running), "a rebuild begins or is over"
    )
    await asyncio.sleep(chance.random() * 0.3)
    await _gone(running)


async def row_altered(site: Site, chance: random.Random) -> None:
    """By hand; the rebuild says that the view was not what the log says, and makes it so."""
    changed = site.rows(
        "UPDATE pipeline.leads SET product = 'altered by hand', version = version"
        " WHERE id = (SELECT id FROM pipeline.leads ORDER BY id LIMIT 1) RETURNING id"
    )
    assert changed
    code, document = await site.lethe("rebuild", "pipeline")
    assert (code, [it["equal"] for it in document["views"]]) == (0, [False]), "it was not found"


async def table_dropped(site: Site, chance: random.Random) -> None:
    """By hand; it is found, and built anew, without anybody's help."""
    table = chance.choice(("pipeline.leads", "privacy.requests"))
    site.execute(f"DROP TABLE {table}")
    there = "SELECT count(*) FROM pg_tables WHERE schemaname || '.' || tablename = %s"
    await site.until(lambda: site.rows(there, [table]) == [(1,)], f"{table} is there again")


async def rotation_killed(site: Site, chance: random.Random) -> None:
    """Wherever it is; the next one finishes it."""
    running = site.begin("keys", "rotate")
    begun = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lethe rotation'"
    await site.until(lambda: site.rows(begun) != [(0,)] or not _runs(running), "a rotation begins or is over")
    await asyncio.sleep(chance.random() * 0.2)
    await _gone(running)


FAULTS: Final[Sequence[Fault]] = (
    Fault("1", "API killed", api_killed),
    Fault("2", "PostgreSQL backend killed", backend_killed),
    Fault("2", "postmaster killed", postmaster_killed),
    Fault("2", "connections cut", lines_cut),
    Fault("3", "answers to COMMIT lost", commit_answer_lost),
    Fault("8", "idle transaction with a position", idle_transaction),
    Fault("9", "active relay killed", relay_killed),
    Fault("10", "broker killed", broker_killed),
    Fault("12", "active relay stopped past its takeover", relay_stopped),
    Fault("13", "projector stopped past its session", projector_stopped),
    Fault("15", "broker away", broker_stopped),
    Fault("15", "broker frozen", broker_frozen),
    Fault("17", "projector killed", projector_killed),
    Fault("18", "rebuild killed", rebuild_killed),
    Fault("19", "row of a view altered, rebuilt", row_altered),
    Fault("19", "table of a view dropped", table_dropped),
    Fault("keys", "key rotation killed", rotation_killed),
    Fault("webhooks", "sender killed", sender_killed),
    Fault("webhooks", "receiver refuses", receiver_refuses),
    Fault("webhooks", "receiver silent", receiver_silent),
    Fault("webhooks", "receiver down", receiver_down),
    Fault("webhooks", "replayed", webhook_replayed),
    Fault("mirrors", "mirror killed", mirror_killed),
)


async def _killed(it: Lethe | Mirror) -> None:
    """Killed, and started again, as whoever watches over it would."""
    await asyncio.to_thread(it.kill)
    it.launch()


async def _gone(it: Lethe) -> None:
    await asyncio.to_thread(it.kill)


def _runs(it: Lethe) -> bool:
    return it.process is not None and it.process.poll() is None


def _leads(site: Site) -> bool:
    """Whether a relay of ours has the lease."""
    with site.fleet() as fleet:
        try:
            fleet.leader()
        except ValueError:
            return False
        return True


async def _answering(site: Site, answer: int | None) -> None:
    """Until somebody has met it."""
    site.inbox.answer = answer
    try:
        await site.inbox.until_asked()
    finally:
        site.inbox.answer = 204
