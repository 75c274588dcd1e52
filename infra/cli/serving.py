"""The commands that serve, each until it is told to stop: `lethe up`, and its parts for deployments."""

from collections.abc import Awaitable, Callable

from infra import up as parts
from infra.bootstrap import open_database, open_system
from infra.cli.command import Answer, Call, command
from infra.settings import Settings


@command("up")
async def up(call: Call) -> Answer:
    """Everything in one process tree: database, migrations, API, projections, and the relay with Kafka."""
    return await _until_stopped(call, parts.up)


@command("api")
async def api(call: Call) -> Answer:
    """The HTTP API alone."""
    return await _until_stopped(call, parts.api)


@command("relay")
async def relay(call: Call) -> Answer:
    """The relay to Kafka alone. Several may run: one publishes, the others stand by."""
    return await _until_stopped(call, parts.relay)


@command("project")
async def project(call: Call) -> Answer:
    """Projections, reactions and unfinished erasures. With Kafka several may run."""
    return await _until_stopped(call, parts.project)


@command("migrate")
async def migrate(call: Call) -> Answer:
    """Bring the database to the present schema, and a new one to its key store. May be repeated."""
    async with open_database(call.settings, migrated=True):
        pass
    async with open_system(call.settings):
        return Answer({"migrated": True}, "The database is up to date.")


async def _until_stopped(
    call: Call, work: Callable[[Settings, Callable[[str], None]], Awaitable[None]]
) -> Answer:
    await work(call.settings, call.say)
    return Answer({"stopped": True}, "")
