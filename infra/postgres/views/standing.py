"""How the live views stand to this program: in its form, of another release's, or damaged by hand."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from psycopg import AsyncConnection, sql

from infra.postgres.views.form import FORMS, TableForm, ViewForm

Connection = AsyncConnection[Any]
BUILT = "SELECT view, version, fingerprint, damage FROM views.built WHERE view = ANY (%s)"
COLUMNS = """
SELECT nspname, relname, attname, format_type(atttypid, atttypmod), attnotnull
FROM pg_attribute JOIN pg_class AS class ON class.oid = attrelid
JOIN pg_namespace AS it ON it.oid = relnamespace
WHERE nspname = ANY (%s) AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
"""
MEDDLED = """
SELECT nspname, relname FROM pg_class AS class JOIN pg_namespace AS it ON it.oid = relnamespace
WHERE nspname = ANY (%s) AND relkind = 'r' AND (
    relrowsecurity OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = class.oid AND NOT tgisinternal)
    OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = class.oid)
)
"""


class Standing(StrEnum):
    """How a live view stands to the program."""

    LIVE = "live"
    """In the program's form: it is written and read."""
    AHEAD = "ahead"
    """The program is ahead of it: it is to be built anew, and till then an earlier release's."""
    BEHIND = "behind"
    """A later release has built it: the program is behind, and must not write."""
    DAMAGED = "damaged"
    """Dropped or changed by hand: nobody writes it until it is built anew."""


class Superseded(Exception):
    """A later release has built a view in another form: this one's processes are to be stopped."""


class Standings:
    """What one process knows of the live views.

    A view that was once seen in the program's form and then in another was taken over by a later release,
    whatever the numbers say: nothing is built back and forth.
    """

    def __init__(self, forms: Mapping[str, ViewForm] = FORMS) -> None:
        self.forms = forms
        self._seen: set[str] = set()

    async def of(self, connection: Connection, views: Iterable[str]) -> dict[str, Standing]:
        """How these views stand. One that is not listed is as the migrations made it."""
        wanted = list(views)
        cursor = await connection.execute(BUILT, [wanted])
        built = {view: rest for view, *rest in await cursor.fetchall()}
        return {it: self._standing(it, *built[it]) if it in built else Standing.LIVE for it in wanted}

    async def writable(self, connection: Connection, views: Sequence[str]) -> Sequence[str]:
        """Those that this program may write. Raises `Superseded`."""
        standings = await self.of(connection, views)
        behind = [view for view, it in standings.items() if it is Standing.BEHIND]
        if behind:
            raise Superseded(f"a later release has built {', '.join(behind)}")
        return [view for view in views if standings[view] is Standing.LIVE]

    async def look(self, connection: Connection) -> dict[str, Standing]:
        """Hold the live tables against the forms, note what is wrong, and say how they stand.

        To be called inside a transaction in which no view is switched.
        """
        cursor = await connection.execute("SELECT view, filled FROM views.built")
        filled = dict(await cursor.fetchall())
        actual = await tables(connection, self.forms)
        standings = await self.of(connection, self.forms)
        for view, form in self.forms.items():
            if view not in filled or standings[view] is Standing.AHEAD:
                await self._adopt(connection, form, actual)
            elif standings[view] is Standing.LIVE:
                await self._inspect(connection, form, actual, filled[view])
        return await self.of(connection, self.forms)

    def _standing(self, view: str, version: int, fingerprint: str, damage: str | None) -> Standing:
        form = self.forms[view]
        if fingerprint == form.fingerprint:
            self._seen.add(view)
            return Standing.LIVE if damage is None else Standing.DAMAGED
        return Standing.BEHIND if version > form.version or view in self._seen else Standing.AHEAD

    async def _adopt(self, connection: Connection, form: ViewForm, actual: "Actual") -> None:
        """Tables that migrations made, or changed: ours where they are of our form and mean the same."""
        ours = difference(form, actual) is None
        await connection.execute(
            "INSERT INTO views.built AS it (view, version, fingerprint) VALUES (%s, %s, %s) "
            "ON CONFLICT (view) DO UPDATE SET fingerprint = excluded.fingerprint "
            "WHERE it.version = excluded.version",
            [form.view, form.version if ours else 0, form.fingerprint if ours else ""],
        )

    async def _inspect(
        self, connection: Connection, form: ViewForm, actual: "Actual", filled: Sequence[str]
    ) -> None:
        damage = difference(form, actual) or await self._meddled(connection, form)
        now_filled: list[str] = []
        if damage is None:
            now_filled = await _filled(connection, form)
            if emptied := sorted(set(filled) - set(now_filled)):
                damage = f"{form.view}.{emptied[0]} was emptied"
        if damage is not None or set(now_filled) != set(filled):
            await connection.execute(
                "UPDATE views.built SET damage = %s, filled = %s WHERE view = %s AND fingerprint = %s",
                [damage, sorted({*filled, *now_filled}), form.view, form.fingerprint],
            )

    async def _meddled(self, connection: Connection, form: ViewForm) -> str | None:
        cursor = await connection.execute(MEDDLED, [[form.view]])
        found = await cursor.fetchone()
        return None if found is None else f"{found[0]}.{found[1]} has triggers, rules or policies"


async def note_built(connection: Connection, view: str, form: ViewForm) -> None:
    """The tables of this name are in this form, and well."""
    await connection.execute(
        "INSERT INTO views.built (view, version, fingerprint) VALUES (%s, %s, %s) "
        "ON CONFLICT (view) DO UPDATE SET version = excluded.version, fingerprint = excluded.fingerprint, "
        "built_at = now(), damage = NULL, filled = '{}'",
        [view, form.version, form.fingerprint],
    )


Actual = Mapping[tuple[str, str], Mapping[str, tuple[str, bool]]]
"""Columns by schema and table: type, and whether a value must be there."""


async def tables(connection: Connection, views: Iterable[str]) -> Actual:
    """The live tables as they are."""
    found: dict[tuple[str, str], dict[str, tuple[str, bool]]] = {}
    cursor = await connection.execute(COLUMNS, [list(views)])
    for schema, table, name, type_, required in await cursor.fetchall():
        found.setdefault((schema, table), {})[name] = (type_, required)
    return found


def difference(form: ViewForm, actual: Actual) -> str | None:
    """What is wrong with the tables, in words of the program."""
    for table in form.tables:
        there = actual.get((table.view, table.name))
        if there is None:
            return f"{table.view}.{table.name} is missing"
        if there != _expected(table):
            return f"{table.view}.{table.name} has other columns"
    return None


def unreadable(forms: Mapping[str, ViewForm], actual: Actual) -> list[str]:
    """The views of which a column is missing, or of another type, that this program reads."""
    return [
        view
        for view, form in forms.items()
        if any(
            actual.get((table.view, table.name), {}).get(it.name, ("", False))[0] != it.type
            for table in form.tables
            for it in table.columns
        )
    ]


def _expected(table: TableForm) -> dict[str, tuple[str, bool]]:
    return {it.name: (it.type, it.required) for it in table.columns}


async def _filled(connection: Connection, form: ViewForm) -> list[str]:
    """The tables that hold rows, but for the blind index, whose rows erasures delete."""
    names = [it.name for it in form.tables if it.name != "blind_index"]
    query = sql.SQL("SELECT {}").format(
        sql.SQL(", ").join(
            sql.SQL("EXISTS (SELECT FROM {})").format(sql.Identifier(form.view, name)) for name in names
        )
    )
    record = await (await connection.execute(query)).fetchone() or ()
    return [name for name, there in zip(names, record, strict=True) if there]
