"""The command line: `lethe`, or `python -m infra`."""

import sys

import typer

from infra.cli import (  # noqa: F401 - each makes its commands known
    backup,
    dossier,
    erasing,
    exporting,
    history,
    importing,
    inspecting,
    keys,
    privacy,
    rebuilding,
    rights,
    scheduling,
    serving,
    upkeep,
    verifying,
)
from infra.cli.command import complain, lethe


def main() -> None:
    """Run the command that the arguments name, and exit: 0 done, 1 refused or failed, 2 used wrongly."""
    try:
        sys.exit(lethe(standalone_mode=False))
    except typer.TyperException as error:
        complain(error.format_message(), kind="UsedWrongly", as_json="--json" in sys.argv)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
