"""A sequencer in a process of its own, to be killed. Arguments: database URL, checkpoint folder."""

import asyncio
import sys
from functools import partial
from pathlib import Path

from infra.audit.growing import Growth
from tests.audit.trees import grove, sequencing


async def sequence(url: str, folder: str) -> None:
    # In small batches, so that there is something under way whenever it is killed.
    async with grove(url, Path(folder), growing=partial(Growth, batch_leaves=300)) as it, sequencing(it):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(sequence(*sys.argv[1:]))
