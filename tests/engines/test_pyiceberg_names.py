"""Names that are hard to write in an address."""

from __future__ import annotations

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import BadRequestError, RESTError

from support.rows import SIGHTINGS, in_order, sightings

NAMES = {
    "space": "two words",
    "plus": "a+b",
    "percent": "100%",
    "an escape": "a%20b",
    "slash": "a/b",
    "an escaped slash": "a%2Fb",
    "backslash": "a\\b",
    "dot": "a.b",
    "dots": "a..b",
    "three dots": "...",
    "quotes": 'it\'s "it"',
    "backtick": "a`b",
    "question mark and hash": "a?b#c",
    "ampersand": "a&b=c;d",
    "brackets": "a[b]{c}(d)<e>",
    "star": "a*",
    "dollar": "${x}",
    "umlaut": "größe",
    "composed and decomposed": "é vs e\u0301",
    "chinese": "冰山",
    "emoji": "🧊",
    "right to left": "שלום",
    "the API's own word": "tables",
    "upper case": "UPPER",
    "leading space": " a",
    "long": "n" * 255,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_unusual_name_works_for_a_namespace_and_a_table(catalog: Catalog, namespace: str, name: str) -> None:
    inner = (namespace, name)
    catalog.create_namespace(inner, {"said": name})
    assert catalog.list_namespaces(namespace) == [inner]
    assert catalog.load_namespace_properties(inner)["said"] == name
    identifier = (*inner, name)
    catalog.create_table(identifier, SIGHTINGS)
    assert catalog.list_tables(inner) == [identifier]
    assert catalog.table_exists(identifier)
    catalog.load_table(identifier).append(sightings((1, name, None)))
    assert in_order(catalog.load_table(identifier).scan().to_arrow()) == [(1, name, None)]
    catalog.rename_table(identifier, (*inner, "plain"))
    catalog.rename_table((*inner, "plain"), identifier)
    catalog.drop_table(identifier)
    catalog.drop_namespace(inner)
    assert catalog.list_namespaces(namespace) == []


def test_names_that_differ_only_in_case_or_form_are_different(catalog: Catalog, namespace: str) -> None:
    names = ["table", "Table", "TABLE", "é", "e\u0301", "a b", "a+b", "a%20b", "a%2Bb"]
    for name in names:
        catalog.create_table((namespace, name), SIGHTINGS, properties={"is": name})
    assert sorted(found[-1] for found in catalog.list_tables(namespace)) == sorted(names)
    for name in names:
        assert catalog.load_table((namespace, name)).properties["is"] == name


def test_level_with_a_dot_stays_one_level(catalog: Catalog, namespace: str) -> None:
    catalog.create_namespace((namespace, "a.b"))
    catalog.create_namespace((namespace, "a"))
    catalog.create_namespace((namespace, "a", "b"))
    assert catalog.list_namespaces((namespace, "a")) == [(namespace, "a", "b")]
    assert sorted(catalog.list_namespaces(namespace)) == [(namespace, "a"), (namespace, "a.b")]


@pytest.mark.parametrize("name", ["", ".", "..", "n" * 256, "null\x00byte", "line\nbreak", "a\x1fb", "\x7f"], ids=repr)
def test_invalid_name_is_refused(catalog: Catalog, namespace: str, name: str) -> None:
    with pytest.raises((BadRequestError, RESTError)):
        catalog.create_namespace((namespace, name))
    with pytest.raises((BadRequestError, RESTError)):
        catalog.create_table((namespace, name), SIGHTINGS)
    assert catalog.list_namespaces(namespace) == []
    assert catalog.list_tables(namespace) == []
