"""`python -m infra.contracts publish|check`: write the published contracts, or hold this release to them."""

import sys
from typing import Final

from infra.contracts.publishing import EVENTS_FOLDER, Publication
from infra.kafka.record import STREAMS
from infra.stateforms import SCHEMAS

PUBLISH: Final = "run `python -m infra.contracts publish`"
NEVER_RELEASED: Final = f"an event that was never released: delete its file in {EVENTS_FOLDER} and {PUBLISH}"
USAGE: Final = "usage: python -m infra.contracts publish|check"


def broken(publication: Publication) -> list[str]:
    """Each rule that is broken, and where."""
    found = [str(it) for it in publication.breaches()]
    if found:
        sys.stderr.write(f"{NEVER_RELEASED}\n")
    return found


def check(publication: Publication) -> list[str]:
    """What is wrong: what breaks a rule, else what is not published yet."""
    return broken(publication) or [
        f"{path}: not what this release says: {PUBLISH}" for path in publication.stale()
    ]


def publish(publication: Publication) -> list[str]:
    """Publish, unless that breaks a rule; what is wrong."""
    if wrong := broken(publication):
        return wrong
    for path in publication.publish():
        sys.stderr.write(f"{path}\n")
    return []


def main(arguments: list[str]) -> int:
    """0 done, 1 broken or stale, 2 used wrongly."""
    verbs = {"check": check, "publish": publish}
    if len(arguments) != 1 or arguments[0] not in verbs:
        sys.stderr.write(f"{USAGE}\n")
        return 2
    wrong = verbs[arguments[0]](Publication(STREAMS, list(SCHEMAS.values())))
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
