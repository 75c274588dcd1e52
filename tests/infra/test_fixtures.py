"""The shared fixtures: each test gets a migrated database of its own."""

import psycopg
import pytest


@pytest.mark.parametrize("_", range(2))
def test_each_test_has_a_migrated_and_empty_database(database_url: str, _: int) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT namespace FROM log.meta").fetchall() == [("main",)]
        assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)
        connection.execute("CREATE TABLE mine ()")
