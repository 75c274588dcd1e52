"""Runs the benchmarks, each in a process of its own: all of them, or those named (`append`, `relay`, ...)."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main(wanted: list[str]) -> int:
    """Exit code 0 once each has run to its end; 2 for a name that there is no benchmark of."""
    known = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    if unknown := sorted(set(wanted) - set(known)):
        print(f"no such benchmark: {', '.join(unknown)} (there are {', '.join(known)})", file=sys.stderr)
        return 2
    code = 0
    for name in wanted or known:
        command = [sys.executable, "-c", f"from tests.benchmarks.bench_{name} import main; main()"]
        code = max(code, subprocess.run(command, cwd=FOLDER.parents[1], check=False).returncode)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
