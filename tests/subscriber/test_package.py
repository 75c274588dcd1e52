"""The client as a distribution of its own: built, and loaded where nothing of the server is."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NEEDED = ("httpx", "httpcore", "h11", "anyio", "certifi", "idna", "sniffio", "typing_extensions")
BARE = """
import sys
sys.path[:] = [it for it in sys.path if "site-packages" not in it] + sys.argv[1:]
import lethe_subscriber, lethe_subscriber.__main__
from lethe_subscriber import HttpFeed, SQLite, Subscriber
from lethe_subscriber.events import TicketOpened
subscriber = Subscriber("x", HttpFeed("http://127.0.0.1:1", "t"), SQLite(":memory:"))
subscriber.on(TicketOpened)(lambda event, db: None)
print(subscriber.dead_letters())
for extra in ("KafkaTopics", "PostgreSQL"):
    try:
        getattr(lethe_subscriber, extra)
    except ModuleNotFoundError as error:
        print(extra, error.name)
theirs = {"infra", "domain", "pydantic", "eventsourcing", "psycopg", "kafka"}
print(sorted(theirs & {it.split(".")[0] for it in sys.modules}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY / "infra" / "subscriber", check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


def test_the_client_works_where_nothing_of_the_server_is_installed(wheel: Path, tmp_path: Path) -> None:
    for name in NEEDED:
        for path in _files_of(name):
            (tmp_path / path.name).symlink_to(path)
    bare = [sys.executable, "-I", "-S", "-c", BARE, str(wheel), str(tmp_path)]
    done = subprocess.run(bare, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "KafkaTopics kafka", "PostgreSQL psycopg", "[]"]


def test_the_servers_wheel_leaves_the_client_out(wheel: Path) -> None:
    assert "lethe_subscriber" in wheel.name
    metadata = importlib.metadata.metadata("lethe-subscriber")
    assert [it for it in metadata.get_all("Requires-Dist") or [] if "extra" not in it] == ["httpx>=0.28"]
    assert sorted(metadata.get_all("Provides-Extra") or []) == ["kafka", "postgresql"]


def _files_of(distribution: str) -> list[Path]:
    """The packages and modules of an installed distribution; none where it is not needed here."""
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return []
    tops = {it.parts[0] for it in found.files or () if it.suffix == ".py"} - {"..", "bin"}
    return [Path(str(found.locate_file(it))) for it in tops]
