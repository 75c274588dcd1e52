"""The command line: `lethe`, or `python -m infra`."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Final

import typer

from infra.cli.command import complain, lethe

MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "api": ("serving",),
    "audit": ("inspecting", "rights", "verifying"),
    "backup": ("backup",),
    "certificate": ("erasing",),
    "deadletters": ("deadletters",),
    "erase": ("erasing",),
    "export": ("exporting",),
    "import": ("importing",),
    "keys": ("keys",),
    "ledger": ("erasing",),
    "migrate": ("serving",),
    "privacy": ("privacy",),
    "project": ("serving",),
    "rebuild": ("rebuilding",),
    "replay": ("replaying",),
    "relay": ("serving",),
    "restore": ("backup",),
    "retention": ("rights",),
    "schedule": ("scheduling",),
    "status": ("upkeep",),
    "subject": ("dossier",),
    "subscriber": ("subscribers",),
    "token": ("upkeep",),
    "topics": ("topics",),
    "up": ("serving",),
    "verify": ("verifying",),
    "view": ("history",),
    "webhook": ("webhooks",),
}
"""Where in `infra.cli` each command is. Loading all of them takes two thirds of the time to start one."""


def load(command: str | None = None) -> None:
    """Make the command known; all of them where there is no such one, for the help and for its refusal."""
    everything = tuple(dict.fromkeys(name for names in MODULES.values() for name in names))
    for name in MODULES.get(command or "", everything):
        import_module(f"infra.cli.{name}")


def main() -> None:
    """Run the command that the arguments name, and exit: 0 done, 1 refused or failed, 2 used wrongly."""
    load(sys.argv[1] if len(sys.argv) > 1 else None)
    try:
        sys.exit(lethe(standalone_mode=False))
    except typer.TyperException as error:
        complain(error.format_message(), kind="UsedWrongly", as_json="--json" in sys.argv)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
