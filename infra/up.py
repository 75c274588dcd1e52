"""`lethe up` and its parts: what each process does from its start until it is told to stop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from uuid_utils.compat import uuid7

from infra.access import EVERYTHING, WeakToken
from infra.bootstrap import CannotStart, System, open_system
from infra.ending import ended
from infra.serving import keep_workers, listen, serve_system, stop_on_signals
from infra.settings import Settings
from infra.waiting import set_within_about
from infra.work import Work, everything, going_on, project_and_react, relaying, scheduled
from services.ports import Unavailable

FIRST_TOKEN = "first"  # noqa: S105 - its name
PROJECTING = "projecting"
AGAIN_SECONDS = 1.0

Say = Callable[[str], None]


async def up(settings: Settings, say: Say) -> None:
    """Everything in one process tree, until SIGINT or SIGTERM. `say` gets the URL, and a first token once."""
    stop = stop_on_signals()
    with listen(settings.host, settings.port) as listening:
        opened = open_system(settings, behind=True)
        async with opened as system, _reviving(system), going_on(everything(system), stop):
            token = await first_token(system)
            say(f"Lethe serves {_url(listening)} (documentation: {_url(listening)}/docs)")
            if token is not None:
                say(f"The first token, which is not shown again: {token}")
            await _serve(system, listening, stop)


async def api(settings: Settings, say: Say) -> None:
    """The HTTP API alone, over a database that is migrated already."""
    stop = stop_on_signals()
    with listen(settings.host, settings.port) as listening:
        async with AsyncExitStack() as stack:
            system = await _once_reachable(stack, settings, say, stop, behind=True)
            if system is not None:
                await first_token(system, made=False)
                say(f"Lethe serves {_url(listening)}")
                await _serve(system, listening, stop)


async def relay(settings: Settings, say: Say) -> None:
    """The relay to Kafka alone: one publishes, others stand by."""
    if settings.kafka is None:
        raise CannotStart("the relay needs LETHE_KAFKA")
    await _work(settings, relaying, say, "relaying")


async def project(settings: Settings, say: Say) -> None:
    """Projections, reactions and unfinished erasures."""
    await _work(settings, project_and_react, say, PROJECTING)


async def schedule(settings: Settings, say: Say) -> None:
    """The jobs that come back: each run by one process, others stand by."""
    await _work(settings, scheduled, say, "keeping the schedule")


async def first_token(system: System, *, made: bool = True) -> str | None:
    """Accept the token of the settings; without one, and with none in the store, make one and answer it."""
    given = system.settings.admin_token
    if given is not None:
        try:
            await system.tokens.adopt(
                given.get_secret_value(), name=FIRST_TOKEN, scopes=EVERYTHING, actor_id=uuid7()
            )
        except WeakToken as error:
            raise CannotStart(f"LETHE_ADMIN_TOKEN: {error}") from None
        return None
    if not made or await system.tokens.all():
        return None
    _, token = await system.tokens.create(name=FIRST_TOKEN, scopes=EVERYTHING, actor_id=uuid7())
    return token


async def _serve(system: System, listening: socket.socket, stop: asyncio.Event) -> None:
    if system.settings.workers == 1:
        await serve_system(system, listening, stop)
    else:
        await keep_workers(system.settings, listening, system.settings.workers, stop)


async def _work(
    settings: Settings, work_of: Callable[[System], dict[str, Work]], say: Say, doing: str
) -> None:
    stop = stop_on_signals()
    async with AsyncExitStack() as stack:
        system = await _once_reachable(stack, settings, say, stop, behind=doing == PROJECTING)
        if system is not None:
            await stack.enter_async_context(going_on(work_of(system), stop))
            say(f"Lethe is {doing}")
            await stop.wait()


async def _once_reachable(
    stack: AsyncExitStack, settings: Settings, say: Say, stop: asyncio.Event, *, behind: bool
) -> System | None:
    """The system, once its database answers; None where it was told to stop before.

    A part of a deployment that starts while the database is started again needs nobody to start it once more.
    """
    waits = False
    while not stop.is_set():
        try:
            return await stack.enter_async_context(open_system(settings, migrated=False, behind=behind))
        except Unavailable as error:
            if not waits:
                say(f"Lethe waits: {error}")
            waits = True
        await set_within_about(stop, AGAIN_SECONDS)
    return None


@asynccontextmanager
async def _reviving(system: System) -> AsyncIterator[None]:
    """The embedded PostgreSQL, started again should it die while the block runs."""
    server = system.database.embedded
    if server is None:
        yield
        return
    watch = asyncio.create_task(server.watch(), name="postgres")
    try:
        yield
    finally:
        await ended(watch)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
