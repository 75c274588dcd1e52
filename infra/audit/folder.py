"""The folder that checkpoints are written to, to be taken elsewhere: what no restored backup resets."""

import os
from collections.abc import Iterable
from pathlib import Path

from infra.audit.note import Checkpoint, Key, NoteUnverified, verify_checkpoint

LATEST = "latest"
CHANGE = ".change"
LATEST_BYTES_MAX = 1_000_000


class FolderUnfit(Exception):
    """The folder cannot be read or written, or does not hold this log's checkpoints. One line."""


class CheckpointFolder:
    """One log's checkpoints: a file for each, named by the tree's size, and the newest again as `latest`.

    Blocking: call it from a thread.
    """

    def __init__(self, folder: Path, key: Key) -> None:
        """`key` is the log's own: what it did not sign is not taken for its checkpoint."""
        self.folder = folder
        self._key = key

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint here; None in a new folder. Raises `FolderUnfit`."""
        try:
            note = (self.folder / LATEST).read_bytes()[:LATEST_BYTES_MAX].decode()
            return verify_checkpoint(note, self._key.vkey)
        except FileNotFoundError:
            return None
        except (NoteUnverified, UnicodeDecodeError):
            raise FolderUnfit("the latest checkpoint in the checkpoint folder is not this log's") from None
        except OSError as error:
            raise _unfit(error) from error

    def change(self) -> int:
        """The change up to which everything is here. Raises `FolderUnfit`."""
        try:
            return int((self.folder / CHANGE).read_text())
        except FileNotFoundError:
            return 0
        except ValueError:
            raise FolderUnfit("the checkpoint folder does not say how far it is") from None
        except OSError as error:
            raise _unfit(error) from error

    def write(self, notes: Iterable[tuple[int, int, str]]) -> None:
        """Put checkpoints here: change, size and note of each, in order of change. Raises `FolderUnfit`.

        Each file is whole or not there. What a crash left out is written the next time.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            latest = self.latest()
            highest = latest.size if latest is not None else -1
            for change, size, note in notes:
                self._put(f"{size:020d}", note)
                if size >= highest:
                    self._put(LATEST, note)
                    highest = size
                self._put(CHANGE, f"{change}\n")
        except OSError as error:
            raise _unfit(error) from error

    def _put(self, name: str, content: str) -> None:
        temporary = self.folder / f".{name}.new"
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / name)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _unfit(error: OSError) -> FolderUnfit:
    return FolderUnfit(f"the checkpoint folder cannot be used ({type(error).__name__})")
