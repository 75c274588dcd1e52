"""Runs commands of the command line one after another in one process: to start one takes seconds.

Each order is a line of JSON on standard input: the arguments, and the file that takes what is written. The
answer is a line with the exit code.
"""

import json
import os
import sys
from pathlib import Path

from infra.__main__ import main


def run(arguments: list[str], output: str) -> int:
    """One command, as its own process would run it: its words and complaints go to the file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with Path(output).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["lethe", *arguments]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def serve() -> None:
    """Take orders until there are no more."""
    with os.fdopen(os.dup(1), "w") as answers:
        for line in sys.stdin:
            order = json.loads(line)
            print(run(order["arguments"], order["output"]), file=answers, flush=True)


if __name__ == "__main__":
    serve()
