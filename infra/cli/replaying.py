"""`lethe replay`: parts of the log published again, for a subscriber that comes late."""

import asyncio
import re
from typing import Annotated, Final

import typer

from infra.bootstrap import CannotStart, System, open_system
from infra.cli.command import Answer, Call, command, lethe, progress_of
from infra.postgres.replays import KnownReplay, PostgresReplays
from infra.replay import Replay

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
TYPE: Final = re.compile(r"[a-z_]+(\.[a-z_]+)?")

replays = typer.Typer(help="Parts of the log, published again to topics of their own.")
lethe.add_typer(replays, name="replay")


@command("publish", group=replays)
async def publish(
    call: Call,
    name: Annotated[
        str, typer.Argument(help="Its topic is NAMESPACE.replay.NAME. Letters, digits, hyphens.")
    ],
    types: Annotated[
        str | None, typer.Option(help="Only these types of event, or kinds of record, by comma.")
    ] = None,
    after: Annotated[int, typer.Option(min=0, help="From the first event above this position.")] = 0,
    until: Annotated[
        int | None,
        typer.Option(min=0, help="Up to this position; absent: to the end of the log as it is now."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1, help="Events a second, at most; absent: as fast as it goes.")
    ] = None,
) -> Answer:
    """Publish a part of the log again. Interrupted, run it again: it goes on, and repeats nothing.

    The live topics and who follows them are not touched. Personal data stays in its boxes.
    """
    # Loading kafka-python is a tenth of the start, and listing needs none of it.
    from infra.kafka.replay import Replayer, replay_topic

    wanted = _types(types)
    if NAME.fullmatch(name) is None:
        raise typer.BadParameter("a name has letters a to z, digits and hyphens, 40 at most")
    async with open_system(call.settings, migrated=False) as system:
        kafka = _kafka(system)
        horizon = await system.reader.horizon()
        topic = replay_topic(system.settings.namespace, name)
        asked = Replay(name, topic, wanted, after, max(after, min(until or horizon, horizon)))
        replayer = Replayer(system.reader, PostgresReplays(system.pool), kafka, system.settings.namespace)
        with progress_of(topic, asked.until) as progress:
            replay, sent = await replayer.run(asked, events_per_second=rate, progress=progress)
    document = {"name": name, "topic": replay.topic, "until": replay.until, "sent": sent}
    words = f"{replay.topic} has it all up to position {replay.until}: {sent} events sent now"
    return Answer(document, words)


@command("list", group=replays)
async def show(call: Call) -> Answer:
    """What was published again, and how far it has come."""
    async with open_system(call.settings, migrated=False) as system:
        known = await PostgresReplays(system.pool).all()
    return Answer({"replays": [_document(it) for it in known]}, "\n".join(map(_in_words, known)))


@command("delete", group=replays)
async def delete(call: Call, name: Annotated[str, typer.Argument(help="Which replay.")]) -> Answer:
    """Delete a replay's topic, with all that is on it: the copies are not needed any more."""
    from infra.kafka.replay import replay_topic
    from infra.kafka.topics import delete_topics

    async with open_system(call.settings, migrated=False) as system:
        kafka, topic = _kafka(system), replay_topic(system.settings.namespace, name)
        known = PostgresReplays(system.pool)
        if name not in {it.name for it in await known.all()}:
            raise typer.BadParameter(f"there is no replay {name!r}")
        await asyncio.to_thread(delete_topics, kafka, [topic])
        await known.forget(name)
    return Answer({"name": name, "topic": topic}, f"{topic} is deleted")


def _kafka(system: System) -> str:
    if system.settings.kafka is None:
        raise CannotStart("a replay needs LETHE_KAFKA")
    return system.settings.kafka


def _types(given: str | None) -> frozenset[str] | None:
    if given is None:
        return None
    types = frozenset(it.strip() for it in given.split(","))
    if not all(map(TYPE.fullmatch, types)):
        raise typer.BadParameter("give types such as lead.won, or kinds of record such as customer, by comma")
    return types


def _document(it: KnownReplay) -> dict[str, object]:
    return {
        "name": it.name,
        "topic": it.topic,
        "types": it.types,
        "after": it.after,
        "until": it.until,
        "position": it.position,
        "ended": it.ended_at is not None,
    }


def _in_words(it: KnownReplay) -> str:
    state = "complete" if it.ended_at is not None else f"at {it.position}"
    return f"{it.topic}: {', '.join(it.types or ['everything'])} from {it.after} to {it.until}, {state}"
