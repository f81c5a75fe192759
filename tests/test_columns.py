"""The table of columns holds what Microsoft documents, and every spelling means one thing."""

import re
from collections import Counter
from pathlib import Path

import pytest

from counterfoil.columns import RECONCILIATION, USAGE, Codec, LineItemTable, Type, table_of
from counterfoil.model import Kind

GOLDEN = Path(__file__).parent / "golden" / "spec"


@pytest.mark.parametrize(("table", "full"), [(RECONCILIATION, 47), (USAGE, 54)], ids=["reconciliation", "usage"])
def test_graph_has_as_many_attributes_as_documented(table: LineItemTable, full: int) -> None:
    assert len(table.graph_full) == full
    assert {column for column in table.graph_full if column.basic} < set(table.graph_full)


@pytest.mark.parametrize("kind", Kind)
def test_no_spelling_means_two_things(kind: Kind) -> None:
    table = table_of(kind)
    names = Counter(column.name.lower() for column in table.columns)
    v1_names = Counter(column.v1.lower() for column in table.columns if column.v1)
    assert max(names.values()) == max(v1_names.values()) == 1
    for column in table.columns:
        for name in filter(None, (column.name, column.v1)):
            assert table.spellings[name.lower()].column is column
    assert not table.constants & table.spellings.keys()


@pytest.mark.parametrize("kind", Kind)
def test_where_a_name_is_shared_the_value_has_one_form(kind: Kind) -> None:
    """Or tells its form itself, as an array does: otherwise we could not know which to decode."""
    for column in table_of(kind).columns:
        if column.v1 and column.v1.lower() == column.name.lower():
            assert column.codec not in {Codec.RATE, Codec.RESELLER}


@pytest.mark.parametrize("kind", Kind)
def test_the_roles_are_played_by_columns_that_fit(kind: Kind) -> None:
    table = table_of(kind)
    required = {column.name for column in table.columns if column.required}
    assert required == {"PartnerId", table.currency, table.date, *table.totals}
    assert table.by_name[table.date].type is Type.DATE
    assert all(table.by_name[name].type is Type.NUMBER for name in table.totals)
    assert table.columns[0].name == "PartnerId", "the renderer makes its comma the opening brace"
    for column in table.columns:
        assert column.type is Type.NUMBER or column.codec is not Codec.RATE
        assert column.type is Type.TEXT or column.codec in {Codec.SAME, Codec.RATE}
        assert column.graph or column.v1, "an attribute that no dialect knows"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.name)
def test_every_attribute_of_the_specifications_examples_is_known(path: Path) -> None:
    table = table_of(Kind(path.name.partition("-")[0]))
    body = path.read_text(encoding="utf-8")
    items = body[body.index('"items"') : body.index('"links"')]
    names = set(re.findall(r'^ {12}"([^"]+)":', items, re.MULTILINE))
    known = {column.v1 for column in table.columns}
    assert len(names) > 40
    assert names - known == {"invoiceLineItemType", "billingProvider", "attributes"}
