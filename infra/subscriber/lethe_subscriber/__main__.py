"""`python -m lethe_subscriber deadletters MODULE:SUBSCRIBER list|show|retry|skip`: what could not be applied.

The module is the author's, in which the subscriber and its handlers are; importing it must not run it.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from lethe_subscriber.errors import SubscriberError
from lethe_subscriber.ledger import DeadLetter
from lethe_subscriber.subscriber import Subscriber


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 1: refused or failed; 2: used wrongly."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options, _subscriber(options.subscriber))
    except SubscriberError as error:
        sys.stderr.write(f"{error or type(error).__name__}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lethe_subscriber", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    letters = commands.add_parser("deadletters", help="events that could not be applied")
    letters.add_argument("subscriber", metavar="MODULE:SUBSCRIBER", help="such as mirror:subscriber")
    verbs = letters.add_subparsers(required=True, dest="verb", metavar="VERB")
    listing = verbs.add_parser("list", help="what is parked, each record's in order")
    listing.add_argument("--skipped", action="store_true", help="what was skipped, with the reasons")
    verbs.add_parser("show", help="one event, its boxes closed").add_argument("id")
    retry = verbs.add_parser("retry", help="apply it, and those behind it")
    retry.add_argument("id")
    retry.add_argument("--despite-gap", action="store_true", help="though events are missing before it")
    skip = verbs.add_parser("skip", help="go on without it")
    skip.add_argument("id")
    skip.add_argument("--reason", required=True, help="kept with it: name no person")
    return parser


def _subscriber(name: str) -> Subscriber[Any]:
    module, _, variable = name.partition(":")
    sys.path.insert(0, "")
    found = getattr(importlib.import_module(module), variable or "subscriber", None)
    if not isinstance(found, Subscriber):
        raise SubscriberError(f"{name} is no subscriber")
    return found


def _run(options: argparse.Namespace, subscriber: Subscriber[Any]) -> int:
    if options.verb == "list":
        for it in subscriber.dead_letters(skipped=options.skipped):
            sys.stdout.write(f"{_line(it)}\n")
        return 0
    if options.verb == "show":
        letters = [*subscriber.dead_letters(), *subscriber.dead_letters(skipped=True)]
        found = [it for it in letters if it.id == options.id]
        for it in found:
            sys.stdout.write(f"{_line(it)}\n{json.dumps(it.event.document, indent=2)}\n")
        return 0 if found else 1
    if options.verb == "retry":
        count = subscriber.retry(options.id, despite_gap=options.despite_gap)
        sys.stdout.write(f"{count} applied\n")
        return 0 if count else 1
    sys.stdout.write(f"skipped, {subscriber.skip(options.id, options.reason)} behind it applied\n")
    return 0


def _line(it: DeadLetter) -> str:
    what = f"{it.id} {it.type} version {it.version} of {it.aggregate_id}"
    why = f"skipped {it.skipped_at}: {it.skipped_because}" if it.skipped_at else f"{it.cause}: {it.error}"
    return f"{what}, {it.attempts} attempts since {it.parked_at}, {why}"


if __name__ == "__main__":
    sys.exit(main())
