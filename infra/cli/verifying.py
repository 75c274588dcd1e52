"""`lethe verify`: is everything as it was written? `lethe audit export`: the same question for an auditor."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from infra.audit import verifier
from infra.audit.bundling import Bundling, Range
from infra.audit.tree import NotInTree, NotInTreeYet
from infra.audit.verification import Sources
from infra.audit.verification import verify as verify_stored
from infra.audit.verifier import VerifierKey
from infra.auditing import bundling_of
from infra.bootstrap import CannotStart, System, open_system
from infra.cli.command import Answer, Call, audit, command, progress_of

From = Annotated[int | None, typer.Option("--from", min=0, help="Only the leaves from this index on.")]
To = Annotated[int | None, typer.Option("--to", min=0, help="... up to this index, it not included.")]
Record = Annotated[UUID | None, typer.Option(help="Only the events of this record.")]


@command("verify")
async def verify(
    call: Call,
    start: From = None,
    end: To = None,
    record: Record = None,
    certificate: Annotated[Path | None, typer.Option(exists=True, help="A certificate of erasure.")] = None,
    export: Annotated[Path | None, typer.Option(exists=True, help="An export; with --manifest.")] = None,
    manifest: Annotated[Path | None, typer.Option(exists=True, help="The export's signed note.")] = None,
    bundle: Annotated[Path | None, typer.Option(exists=True, help="A bundle, as auditors have it.")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="Open each wrapped key, too.")] = False,
) -> Answer:
    """Verify the log, its trees, checkpoints, tombstones and ledger; or a part, or a file. Changes nothing.

    Exit code 1 where something is not as it was written: the first bad index and the place are named.
    """
    if (export is None) is not (manifest is None):
        raise typer.BadParameter("--export and --manifest go together")
    async with open_system(call.settings, migrated=False) as system:
        key = VerifierKey.parse(system.signer.vkey)
        if bundle is not None:
            return _answer(await asyncio.to_thread(_verify_file, bundle, key))
        if certificate is not None:
            return _answer(await asyncio.to_thread(verifier.verify_note, certificate, None, key))
        if export is not None and manifest is not None:
            return _answer(await asyncio.to_thread(verifier.verify_note, manifest, export, key))
        if start is not None or end is not None or record is not None:
            return await _verify_part(system, Range(start or 0, end), record)
        return await _verify_all(system, keys=keys)


async def _verify_all(system: System, *, keys: bool) -> Answer:
    with progress_of("verifying", await system.tree.size()) as progress:
        found = await verify_stored(Sources.of(system), keys=keys, say=progress)
    return Answer(found.document(), "\n".join(found.lines()), well=not found.findings.total)


async def _verify_part(system: System, wanted: Range, record: UUID | None) -> Answer:
    """By the very means of an auditor: a bundle of it, and the offline verifier."""
    with tempfile.TemporaryDirectory(prefix="lethe-verify-") as folder:
        path = Path(folder) / "bundle.zip"
        await _write(path, await _bundle(bundling_of(system), wanted, record))
        found = await asyncio.to_thread(_verify_file, path, VerifierKey.parse(system.signer.vkey))
    return _answer(found)


def _verify_file(path: Path, key: VerifierKey) -> verifier.Outcome:
    return verifier.verify_bundle(path, key, [], min(4, os.cpu_count() or 1), verifier.Progress())


def _answer(found: verifier.Outcome) -> Answer:
    return Answer(found.document, "\n".join(found.lines), well=found.well)


@command("export", group=audit)
async def export(
    call: Call,
    out: Annotated[Path, typer.Option(help="Where to write the bundle; what is there is replaced.")],
    start: From = None,
    end: To = None,
    record: Record = None,
) -> Answer:
    """Write a bundle of the log, or of a part of it, for an auditor; the verifier is put beside it.

    It holds events as they are stored: what is sealed stays sealed, and no key is in it.
    """
    async with open_system(call.settings, migrated=False) as system:
        with progress_of("bytes", 0) as progress:
            pieces = await _bundle(bundling_of(system), Range(start or 0, end), record)
            size = await _write(out, pieces, progress)
        vkey = system.signer.vkey
    program = out.with_name("verifier.py")
    await asyncio.to_thread(shutil.copyfile, verifier.__file__, program)
    words = f"{out}: {size} bytes\nVerify it with: python {program} {out} --vkey '{vkey}'"
    return Answer({"file": str(out), "bytes": size, "verifier": str(program), "vkey": vkey}, words)


async def _bundle(bundling: Bundling, wanted: Range, record: UUID | None) -> AsyncIterator[bytes]:
    try:
        return await (bundling.of_range(wanted) if record is None else bundling.of_record(record))
    except NotInTree:
        raise CannotStart("the signed tree has no such leaves") from None
    except NotInTreeYet:
        raise CannotStart("nothing has been signed yet: `lethe up` does that") from None


async def _write(
    path: Path, pieces: AsyncIterator[bytes], progress: Callable[[int], None] = lambda done: None
) -> int:
    """Whole or not at all; how many bytes."""
    size, part = 0, path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            async for piece in pieces:
                size += len(piece)
                await asyncio.to_thread(file.write, piece)
                progress(size)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return size
