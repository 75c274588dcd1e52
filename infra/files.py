"""Files that the caller asked for: whole in their place, or not there at all."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

from uuid_utils.compat import uuid7


async def write_whole(file: Path, parts: AsyncIterator[bytes]) -> int:
    """Write the parts, readable by the owner alone; how many bytes.

    Beside its place first, then put there: a file that broke off never stands in it.
    """
    beside = file.with_name(f".{file.name}.{uuid7().hex}")
    size = 0
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            async for part in parts:
                size += out.write(part)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    return size
