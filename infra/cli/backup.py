"""`lethe backup` and `lethe restore`: the whole database in one encrypted file, and back."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from typer.core import TyperGroup

from infra.backup.archive import BackupUnfit, identities_in, new_identity, recipients_of
from infra.backup.checking import Checked, verify_backup, verify_trees
from infra.backup.restoring import Restored, restore_backup
from infra.bootstrap import CannotStart, open_system
from infra.cli.command import Answer, Call, command, lethe, progress_of
from infra.kek import open_keks
from infra.postgres.embedded import EmbeddedPostgres, PostgresDidNotStart
from infra.settings import Settings
from services.ports import Unavailable


class _MakeUnlessTold(TyperGroup):
    """`lethe backup TO` makes a backup; `lethe backup verify FROM` and the others do what they say."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] != "--help" and args[0] not in self.commands):
            args = ["make", *args]
        return super().parse_args(ctx, args)


backup = typer.Typer(cls=_MakeUnlessTold, help="Backups: `lethe backup TO`, verify, list, prune, keygen.")
lethe.add_typer(backup, name="backup")
IdentityFile = Annotated[
    Path, typer.Option(exists=True, dir_okay=False, help="File with the secret key of age that opens it.")
]


@command("make", group=backup)
async def make(
    call: Call,
    to: Annotated[Path | None, typer.Argument(help="Folder, or file to make; absent: LETHE_BACKUPS.")] = None,
    recipient: Annotated[str | None, typer.Option(help="Public key of age that it is for.")] = None,
) -> Answer:
    """Write everything, as it is at one moment, into an encrypted file. Everybody goes on meanwhile.

    The key-encryption key is not in it: keep that elsewhere.
    """
    with _in_one_line():
        recipients = recipients_of(recipient or call.settings.backup_recipient)
        async with open_system(call.settings, migrated=False) as system:
            with progress_of("bytes", 1) as progress:
                made = await system.shelf.make(
                    to or _folder(call.settings), recipients, lambda done, total: progress(done)
                )
    document = asdict(made.header) | {
        "file": str(made.path),
        "size_bytes": made.size_bytes,
        "sha256": made.sha256,
    }
    words = (
        f"{made.path}: {made.header.events} events up to position {made.header.position},"
        f" {made.size_bytes} bytes, SHA-256 {made.sha256}"
    )
    return Answer(document, words)


@command("verify", group=backup)
async def verify(
    call: Call,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The backup.")],
    identity: IdentityFile,
) -> Answer:
    """Really restore it, into a PostgreSQL of its own, check everything in it, and throw that away."""
    settings = call.settings
    with _in_one_line():
        identities = identities_in(identity)
        keks = open_keks(settings.kek_reference, vault_token=settings.vault_token_value)
        with progress_of("bytes", file.stat().st_size) as progress:
            checked = await verify_backup(file, identities, keks, progress)
        recorded = False
        if not checked.findings:
            async with open_system(settings, migrated=False) as system:
                known = await system.shelf.recognise(file)
                if known is not None and known.deleted_at is None:
                    await system.shelf.verified(known, checked)
                    recorded = True
    document = asdict(checked) | {"well": not checked.findings, "recorded": recorded}
    return Answer(document, _checked(checked, recorded=recorded), well=not checked.findings)


@command("list", group=backup)
async def list_(call: Call) -> Answer:
    """The backups that the log knows of, and in which epoch of key-encryption keys each was made.

    One of an ended epoch opens no more: nothing in it can be unsealed, by anybody.
    """
    async with open_system(call.settings, migrated=False) as system:
        known = await system.shelf.known()
        ended = await system.shelf.ended_epochs()
    documents = [asdict(it) | {"id": str(it.id), "opens": it.epoch not in ended} for it in known]
    lines = [
        f"{it.made_at:%Y-%m-%d %H:%M} {it.file} {it.size_bytes} bytes, position {it.snapshot_position}, "
        f"epoch {it.epoch}{' (ended: opens no more)' if it.epoch in ended else ''}"
        f"{'' if it.verified_at is None else f', verified {it.verified_at:%Y-%m-%d}'}"
        f"{'' if it.deleted_at is None else f', deleted {it.deleted_at:%Y-%m-%d}'}"
        for it in known
    ]
    return Answer({"backups": documents}, "\n".join(lines) or "There are none.")


@command("prune", group=backup)
async def prune(
    call: Call,
    folder: Annotated[Path | None, typer.Argument(help="Where they are; absent: LETHE_BACKUPS.")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Do it; without, only say what would go.")] = False,
) -> Answer:
    """Delete the backups older than LETHE_BACKUP_KEEP_DAYS, but never the newest."""
    with _in_one_line():
        where = folder or _folder(call.settings)
        async with open_system(call.settings, migrated=False) as system:
            found = await system.shelf.expired(where, call.settings.backup_keep_days, system.clock.now())
            for known, path in found if delete else ():
                await system.shelf.delete(known, path)
    names = [path.name for _, path in found]
    words = "\n".join(f"{'deleted' if delete else 'would be deleted'}: {it}" for it in names)
    return Answer({"deleted": delete, "files": names}, words or "There is none to delete.")


@command("keygen", group=backup)
async def keygen(
    call: Call, file: Annotated[Path, typer.Argument(help="Where to write the secret key.")]
) -> Answer:
    """Make a pair of keys of age: the secret one into the file, the public one (the recipient) is shown."""
    with _in_one_line():
        public = new_identity(file)
    return Answer({"recipient": public, "identity": str(file)}, public)


@command("restore")
async def restore(
    call: Call,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The backup.")],
    identity: IdentityFile,
) -> Answer:
    """Restore a backup into an empty database, check it, and apply the erasures since then again.

    The key-encryption key and the erasure ledger are not in a backup: put them in their places first.
    """
    settings = call.settings
    with _in_one_line():
        identities = identities_in(identity)
        with progress_of("bytes", file.stat().st_size) as progress:
            restored, leaves, findings = await _restore(settings, file, identities, progress)
    if findings:
        raise CannotStart(f"restored, but it is not whole: {findings[0]} ({len(findings)} findings)")
    try:
        async with open_system(settings, behind=True) as system:
            applied = await system.guard.apply(everything=True, starting=True)
            fault = system.guard.fault
    except CannotStart as error:
        raise CannotStart(f"restored, but it cannot start yet: {error}") from None
    if fault is not None:
        raise CannotStart(f"restored, but it cannot start yet: {fault}")
    document = asdict(restored) | {"leaves": leaves, "erasures_applied": applied}
    words = (
        f"Restored: {restored.header.events} events up to position {restored.header.position},"
        f" as of {restored.header.made_at}; {leaves} leaves checked; {applied} erasures applied again."
    )
    return Answer(document, words)


async def _restore(
    settings: Settings, file: Path, identities: list[Any], progress: Any
) -> tuple[Restored, int, list[str]]:
    if settings.database_url is not None:
        return await _restore_into(
            settings.database_url.get_secret_value(), settings, file, identities, progress
        )
    async with EmbeddedPostgres(settings.postgres_folder) as server:
        return await _restore_into(server.url, settings, file, identities, progress)


async def _restore_into(
    url: str, settings: Settings, file: Path, identities: list[Any], progress: Any
) -> tuple[Restored, int, list[str]]:
    restored = await restore_backup(url, file, identities, progress, namespace=settings.namespace)
    leaves, findings = await asyncio.to_thread(verify_trees, url, restored.header)
    return restored, leaves, findings


class _in_one_line:  # noqa: N801 - used as the word it is
    """Failures of files and databases, said as every command says them."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        match error:
            case BackupUnfit() | PostgresDidNotStart():
                raise CannotStart(str(error)) from None
            case FileExistsError():
                raise CannotStart(f"{error.args[0]} is there already") from None
            case psycopg.OperationalError():
                raise Unavailable("the database cannot be reached") from None
            case OSError():
                raise CannotStart(f"{error.filename}: {error.strerror}") from None


def _folder(settings: Settings) -> Path:
    if settings.backups is None:
        raise BackupUnfit("where to? Name a folder or a file, or set LETHE_BACKUPS")
    return settings.backups


def _checked(checked: Checked, *, recorded: bool) -> str:
    boxes = checked.keys or f"{checked.boxes_opened} values opened, {checked.boxes_erased} erased"
    lines = [
        f"{checked.header.events} events, {checked.tables} tables, {checked.rows} rows: all restored",
        f"{checked.leaves} leaves of the audit trees: {'whole' if not checked.findings else 'not whole'}",
        f"keys: {boxes}",
        *checked.findings,
    ]
    if not checked.findings and not recorded:
        lines.append("not recorded: the log knows of no such backup")
    return "\n".join(lines)
