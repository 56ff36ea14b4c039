"""Namespaces as PyIceberg uses them: nested, with properties, in pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NamespaceNotEmptyError, NoSuchNamespaceError
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

SCHEMA = Schema(NestedField(1, "id", LongType(), required=True))


def test_namespace_is_created_listed_and_dropped(catalog: Catalog, unique: str) -> None:
    catalog.create_namespace(unique)
    assert (unique,) in catalog.list_namespaces()
    assert catalog.namespace_exists(unique)
    catalog.drop_namespace(unique)
    assert (unique,) not in catalog.list_namespaces()
    assert not catalog.namespace_exists(unique)


def test_existing_object_cannot_be_created_again(catalog: Catalog, unique: str) -> None:
    catalog.create_namespace(unique)
    with pytest.raises(NamespaceAlreadyExistsError, match="already exists"):
        catalog.create_namespace(unique)
    catalog.create_namespace_if_not_exists(unique)


def test_call_for_a_missing_namespace_is_refused(catalog: Catalog, unique: str) -> None:
    for attempt in (
        lambda: catalog.load_namespace_properties(unique),
        lambda: catalog.drop_namespace(unique),
        lambda: catalog.update_namespace_properties(unique, updates={"a": "b"}),
        lambda: catalog.list_namespaces(unique),
        lambda: catalog.list_tables(unique),
    ):
        with pytest.raises(NoSuchNamespaceError, match="does not exist"):
            attempt()


def test_nested_namespaces_are_listed_under_their_parent_only(catalog: Catalog, unique: str) -> None:
    catalog.create_namespace(unique)
    catalog.create_namespace((unique, "europe"))
    catalog.create_namespace((unique, "asia"))
    catalog.create_namespace((unique, "europe", "north"))
    assert (unique, "europe") not in catalog.list_namespaces()
    assert sorted(catalog.list_namespaces(unique)) == [(unique, "asia"), (unique, "europe")]
    assert catalog.list_namespaces((unique, "europe")) == [(unique, "europe", "north")]
    assert catalog.list_namespaces((unique, "europe", "north")) == []


def test_namespace_with_children_or_tables_is_not_dropped(catalog: Catalog, unique: str) -> None:
    catalog.create_namespace(unique)
    catalog.create_namespace((unique, "child"))
    with pytest.raises(NamespaceNotEmptyError, match="not empty"):
        catalog.drop_namespace(unique)
    catalog.create_table((unique, "child", "t"), SCHEMA)
    with pytest.raises(NamespaceNotEmptyError, match="not empty"):
        catalog.drop_namespace((unique, "child"))
    catalog.drop_table((unique, "child", "t"))
    catalog.drop_namespace((unique, "child"))
    catalog.drop_namespace(unique)


def test_table_in_a_nested_namespace_is_listed_there_only(catalog: Catalog, unique: str) -> None:
    deep = (unique, "a", "b")
    for depth in range(1, 4):
        catalog.create_namespace(deep[:depth])
    catalog.create_table((*deep, "t"), SCHEMA)
    assert catalog.list_tables(deep) == [(*deep, "t")]
    assert catalog.list_tables(deep[:2]) == []
    assert catalog.load_table((*deep, "t")).name() == (*deep, "t")


def test_properties_are_set_changed_and_removed(catalog: Catalog, unique: str) -> None:
    catalog.create_namespace(unique, {"owner": "ana", "retention": "30"})
    assert catalog.load_namespace_properties(unique).items() >= {"owner": "ana", "retention": "30"}.items()
    summary = catalog.update_namespace_properties(
        unique, removals={"retention", "never-there"}, updates={"owner": "bo", "größe": "Ω ☃ 10 %"}
    )
    assert sorted(summary.updated) == ["größe", "owner"]
    assert summary.removed == ["retention"]
    assert summary.missing == ["never-there"]
    properties = catalog.load_namespace_properties(unique)
    assert properties["owner"] == "bo"
    assert properties["größe"] == "Ω ☃ 10 %"
    assert "retention" not in properties


def test_nested_namespace_has_separate_properties(catalog: Catalog, unique: str) -> None:
    catalog.create_namespace(unique, {"level": "1"})
    catalog.create_namespace((unique, "child"), {"level": "2"})
    assert catalog.load_namespace_properties(unique)["level"] == "1"
    assert catalog.load_namespace_properties((unique, "child"))["level"] == "2"


@pytest.mark.parametrize("page_size", ["1", "3", "7", "100"])
def test_lists_are_complete_with_each_page_size(connect: Callable[..., RestCatalog], unique: str, page_size: str) -> None:
    catalog = connect(**{"rest-page-size": page_size})
    catalog.create_namespace(unique)
    names = [f"n{number:02}" for number in range(7)]
    for name in names:
        catalog.create_namespace((unique, name))
        catalog.create_table((unique, f"t_{name}"), SCHEMA)
    assert catalog.list_namespaces(unique) == [(unique, name) for name in names]
    assert catalog.list_tables(unique) == [(unique, f"t_{name}") for name in names]
