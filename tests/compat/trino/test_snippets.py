"""The catalog files in the documentation (`documented`) and in the quickstart's output."""

from __future__ import annotations

from conftest import Sql, catalog_of
from support import judges


def test_catalog_in_the_documentation_shows_the_sample_table(sql: Sql) -> None:
    assert ("tides",) in sql("SHOW TABLES FROM documented.demo")
    assert len(sql("SELECT * FROM documented.demo.tides LIMIT 10")) == 10


def test_catalog_that_the_quickstart_prints_shows_the_sample_table(sql: Sql) -> None:
    with judges.welcomed("Trino") as snippet:
        lines = [line for line in snippet.splitlines() if not line.startswith("#")]
        printed = dict(line.split("=", 1) for line in lines)
        assert printed.pop("connector.name") == "iceberg"
        sql(f"CREATE CATALOG printed {catalog_of(printed)}")
        (query,) = (line[2:] for line in snippet.splitlines() if line.startswith("# SELECT"))
        assert len(sql(query.rstrip(";").replace("tidewater.", "printed."))) == 6
