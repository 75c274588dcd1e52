"""The commands that serve, each until it is told to stop: `lethe up`, and its parts for deployments.

Each imports what it runs when it runs: FastAPI, and all that it brings, are a fifth of the start of a command
that serves nothing.
"""

from infra.bootstrap import open_database, open_system
from infra.cli.command import Answer, Call, command

STOPPED = Answer({"stopped": True}, "")


@command("up")
async def up(call: Call) -> Answer:
    """Everything in one process tree: database, migrations, API, projections, and the relay with Kafka."""
    from infra.up import up as run

    await run(call.settings, call.say)
    return STOPPED


@command("api")
async def api(call: Call) -> Answer:
    """The HTTP API alone."""
    from infra.up import api as run

    await run(call.settings, call.say)
    return STOPPED


@command("relay")
async def relay(call: Call) -> Answer:
    """The relay to Kafka alone. Several may run: one publishes, the others stand by."""
    from infra.up import relay as run

    await run(call.settings, call.say)
    return STOPPED


@command("project")
async def project(call: Call) -> Answer:
    """Projections, reactions and unfinished erasures. With Kafka several may run."""
    from infra.up import project as run

    await run(call.settings, call.say)
    return STOPPED


@command("migrate")
async def migrate(call: Call) -> Answer:
    """Bring the database to the present schema, and a new one to its key store. May be repeated."""
    async with open_database(call.settings, migrated=True):
        pass
    async with open_system(call.settings):
        return Answer({"migrated": True}, "The database is up to date.")
