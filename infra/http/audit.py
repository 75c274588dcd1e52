"""The audit trees over HTTP: their keys, signed checkpoints, and proofs that nobody has to take on trust."""

from base64 import b64encode
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from infra.audit.checkpoints import StoredCheckpoint
from infra.audit.tree import AuditTree
from infra.http.auth import Reader, Writer
from infra.http.dependencies import Dependencies, Door
from infra.http.errors import READ_REFUSALS, Malformed, NotFound, NotYetVisible, documented
from infra.http.reading import POSITION_MAX, Page, Position, broken_cursor, cursor_bytes, cursor_of
from infra.http.reading import Query as Parameters
from infra.http.values import Moment

NOTE: Final = "text/plain; charset=utf-8"
COSIGNATURE_LENGTH_MAX: Final = 1000
router = APIRouter(prefix="/v1/audit", tags=["audit"])

Size = Annotated[int, Field(ge=1, le=POSITION_MAX)]
Base64 = Annotated[str, Field(description="A SHA-256 hash in base64.")]


class Log(StrEnum):
    """What a tree is over: the events, or who saw what."""

    EVENTS = "log"
    ACCESSES = "access"


class LogQuery(Parameters):
    log: Log = Field(Log.EVENTS, description="Which log: `log` of the events, `access` of who saw what.")


class CheckpointsQuery(LogQuery):
    limit: int = Field(50, ge=1, le=200, description="How many items at most.")
    cursor: str | None = Field(
        None, max_length=64, description="Where to go on: the `next` of the last answer."
    )

    def below(self) -> int:
        """The last size of the page before. Raises `Malformed`."""
        if self.cursor is None:
            return POSITION_MAX
        key = cursor_bytes(self.cursor)
        if len(key) != 8 or key[0] > 127:
            raise broken_cursor()
        return int.from_bytes(key)


class InclusionQuery(LogQuery):
    position: Position = Field(description="The event's position; of the access log, the batch's number.")
    size: Size | None = Field(
        None, description="The tree's size; absent: that of the newest checkpoint.", examples=[None]
    )


class ConsistencyQuery(LogQuery):
    old: Size = Field(alias="from", description="The size that is known already.")
    new: Size | None = Field(
        None,
        alias="to",
        description="The later size; absent: that of the newest checkpoint.",
        examples=[None],
    )


class VerifierKey(BaseModel):
    """What signatures are checked with (C2SP signed-note)."""

    log: Log
    origin: str = Field(examples=["lethe/main/log"])
    vkey: str = Field(examples=["lethe/main/log+<id>+<key>"])


class VerifierKeys(BaseModel):
    """Keep these where we cannot change them: every proof rests on them."""

    logs: list[VerifierKey]
    witnesses: list[str] = Field(description="Verifier keys of the witnesses whose cosignatures are taken.")


class CheckpointRecord(BaseModel):
    """A signed statement of how a tree stood (C2SP tlog-checkpoint)."""

    size: int
    root: Base64
    made_at: Moment
    note: str = Field(description="The signed note, with the cosignatures of witnesses.")

    @classmethod
    def of(cls, stored: StoredCheckpoint) -> "CheckpointRecord":
        return cls(size=stored.size, root=_base64(stored.root), made_at=stored.made_at, note=stored.note)


class InclusionProof(BaseModel):
    """That the leaf is in the tree (RFC 9162, 2.1.3)."""

    log: Log
    position: int
    index: int = Field(description="The leaf's place in the tree, from 0.")
    leaf: Base64
    size: int
    root: Base64
    hashes: list[Base64]
    checkpoint: str | None = Field(description="The signed checkpoint of this size, where there is one.")


class ConsistencyProof(BaseModel):
    """That the later tree begins with the earlier one: nothing changed or went (RFC 9162, 2.1.4)."""

    log: Log
    from_size: int
    from_root: Base64
    to_size: int
    to_root: Base64
    hashes: list[Base64]
    checkpoint: str | None = Field(description="The signed checkpoint of the later size, if there is one.")


class Cosignature(BaseModel):
    """A witness's signature of a checkpoint."""

    model_config = ConfigDict(extra="forbid")

    log: Log = Field(Log.EVENTS, examples=["log"])
    line: str = Field(
        min_length=1,
        max_length=COSIGNATURE_LENGTH_MAX,
        description="The signature line of a C2SP cosignature/v1.",
        examples=["— witness.example/w1 jWbPPwAAAABkGFDL..."],
    )


@router.get("/key", responses=documented(401, 403, 503))
async def read_keys(door: Door, token: Reader) -> VerifierKeys:
    """The keys that checkpoints, certificates and manifests are verified with."""
    keys = [
        VerifierKey(log=Log(log), origin=tree.signer.name, vkey=tree.signer.vkey)
        for log, tree in door.trees.items()
    ]
    witnesses = door.trees[Log.EVENTS].checkpoints.witnesses
    return VerifierKeys(logs=keys, witnesses=[it.vkey for it in witnesses])


@router.get(
    "/checkpoint",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **documented(404, *READ_REFUSALS)},
)
async def read_checkpoint(door: Door, token: Reader, query: Annotated[LogQuery, Query()]) -> Response:
    """The newest signed checkpoint: a C2SP note, as it is."""
    latest = await _tree(door, query.log).checkpoints.latest()
    if latest is None:
        raise NotFound("Nothing has been signed yet.")
    return Response(latest.note, media_type=NOTE)


@router.get("/checkpoints", responses=documented(*READ_REFUSALS))
async def list_checkpoints(
    door: Door, token: Reader, query: Annotated[CheckpointsQuery, Query()]
) -> Page[CheckpointRecord]:
    """The signed checkpoints, the newest first."""
    found = await _tree(door, query.log).checkpoints.below(query.below(), query.limit)
    return Page(
        items=[CheckpointRecord.of(it) for it in found],
        next=cursor_of(found[-1].size) if len(found) == query.limit else None,
    )


@router.get("/checkpoints/{size}", responses=documented(404, *READ_REFUSALS))
async def read_checkpoint_of_size(
    size: Annotated[int, Path(ge=1, le=POSITION_MAX)],
    door: Door,
    token: Reader,
    query: Annotated[LogQuery, Query()],
) -> CheckpointRecord:
    """The signed checkpoint of a tree of this size."""
    found = await _tree(door, query.log).checkpoints.at(size)
    if found is None:
        raise NotFound("No tree of this size was signed.")
    return CheckpointRecord.of(found)


@router.post(
    "/checkpoints/{size}/cosignatures",
    responses=documented(400, 401, 403, 404, 409, 413, 415, 422, 503),
)
async def cosign_checkpoint(
    size: Annotated[int, Path(ge=1, le=POSITION_MAX)], body: Cosignature, door: Door, token: Writer
) -> CheckpointRecord:
    """Add a witness's cosignature. Only those of witnesses that are set up here are taken."""
    return CheckpointRecord.of(await _tree(door, body.log).checkpoints.cosign(size, body.line))


@router.get("/inclusion", responses=documented(404, *READ_REFUSALS))
async def prove_inclusion(
    door: Door, token: Reader, query: Annotated[InclusionQuery, Query()]
) -> InclusionProof:
    """The proof that what is at a position of the log is in the tree, as it was stored.

    Without `size`, under the newest checkpoint: 503 with `Retry-After` until there is one that covers it.
    """
    tree = _tree(door, query.log)
    index = await tree.index_of(query.position)
    checkpoint = (
        await tree.checkpoints.latest() if query.size is None else await tree.checkpoints.at(query.size)
    )
    size = query.size if checkpoint is None else checkpoint.size
    if size is None or (query.size is None and size <= index):
        raise NotYetVisible("No checkpoint covers it yet.")
    proof = await tree.inclusion(query.position, size)
    return InclusionProof(
        log=query.log,
        position=query.position,
        index=proof.index,
        leaf=_base64(proof.leaf),
        size=proof.size,
        root=_base64(proof.root),
        hashes=[_base64(it) for it in proof.hashes],
        checkpoint=checkpoint.note if checkpoint else None,
    )


@router.get("/consistency", responses=documented(404, *READ_REFUSALS))
async def prove_consistency(
    door: Door, token: Reader, query: Annotated[ConsistencyQuery, Query()]
) -> ConsistencyProof:
    """The proof that the tree only grew between two sizes."""
    tree = _tree(door, query.log)
    if query.new is not None and query.new < query.old:
        raise Malformed("It must not be below `from`.", field="to", rule="below_from")
    checkpoint = (
        await tree.checkpoints.latest() if query.new is None else await tree.checkpoints.at(query.new)
    )
    new = query.new if checkpoint is None else checkpoint.size
    if new is None:
        raise NotFound("Nothing has been signed yet.")
    proof = await tree.consistency(query.old, new)
    return ConsistencyProof(
        log=query.log,
        from_size=proof.old_size,
        from_root=_base64(proof.old_root),
        to_size=proof.new_size,
        to_root=_base64(proof.new_root),
        hashes=[_base64(it) for it in proof.hashes],
        checkpoint=checkpoint.note if checkpoint else None,
    )


@router.get(
    "/tiles/{level}/{number}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}, **documented(404, *READ_REFUSALS)},
)
async def read_tile(
    level: Annotated[int, Path(ge=0, le=7)],
    number: Annotated[int, Path(ge=0, le=POSITION_MAX)],
    door: Door,
    token: Reader,
    query: Annotated[LogQuery, Query()],
) -> Response:
    """A tile of the tree: up to 256 hashes of 32 bytes side by side, as C2SP's tlog-tiles lays them out."""
    hashes = await _tree(door, query.log).tile(level, number)
    return Response(hashes, media_type="application/octet-stream")


def _tree(door: Dependencies, log: Log) -> AuditTree:
    return door.trees[log]


def _base64(hashed: bytes) -> str:
    return b64encode(hashed).decode()
