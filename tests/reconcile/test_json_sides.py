"""Arrays, pages and documents of JSON are the same side as their line items one a line; incomplete ones are refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from counterfoil.errors import CounterfoilError
from counterfoil.reconcile import totals
from tests.reconcile.sides import licence, line, usage

ITEMS = [licence(CustomerId=f"c{at}") for at in range(3)]
V1 = (
    '{"partnerId":"0e195b37-4574-4539-bc42-0e539b9684c0","customerId":"c1","chargeType":"New","subtotal":1.10,'
    '"taxTotal":0,"totalForCustomer":1.10,"currency":"EUR","chargeStartDate":"2026-10-01T00:00:00Z","unitType":""}'
)


def page(*items: str, following: str = "", holder: str = "value") -> str:
    link = f',"@odata.nextLink":"{following}"' if following else ""
    return f'{{"@odata.count":{len(items)},"{holder}":[{",".join(items)}]{link}}}'


LINES = [line(item) for item in ITEMS]
SHAPES: dict[str, Callable[[], str]] = {
    "lines": lambda: "\n".join(LINES),
    "an array": lambda: f"[{','.join(LINES)}]",
    "an array over several lines": lambda: (
        "[\n  " + ",\n  ".join(each.replace(",", ",\n    ") for each in LINES) + "\n]\n"
    ),
    "a page": lambda: page(*LINES),
    "a page a line": lambda: "\n".join([page(LINES[0], following="x"), page(following="y"), page(*LINES[1:])]),
    "a page over several lines": lambda: page(*LINES).replace(",", ",\n"),
    "a page with a byte order mark": lambda: "\ufeff" + page(*LINES),
    "objects one after another": lambda: "\n".join(each.replace(",", ",\n") for each in LINES),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_every_shape_of_json_holds_the_same_line_items(tmp_path: Path, shape: str, packed: bool) -> None:
    data = SHAPES[shape]().encode()
    (tmp_path / "side").write_bytes(gzip.compress(data) if packed else data)
    found = totals(str(tmp_path / "side"), by="customer")
    assert (found.line_items, found.gross) == (3, Decimal("1660.95"))
    assert sorted(group.key for group in found.groups) == ["c0", "c1", "c2"]


def test_a_page_of_v1_is_read_in_its_spelling(tmp_path: Path) -> None:
    links = '"links":{"self":{"uri":"/x","method":"GET","headers":[]}},"attributes":{}'
    first = f'{{"totalCount":1,"items":[{V1}],{links}}}'
    (tmp_path / "side").write_text(first, encoding="utf-8")
    assert totals(str(tmp_path / "side")).gross == Decimal("1.10")


REFUSED = {
    page(*LINES, following="https://next"): "ends with a page that another follows",
    page(): "holds no line items",
    "[]": "holds no line items",
    "[1]": "the first line item is no JSON object",
    f"[{LINES[0]},{LINES[1][:-9]}": "not JSON",
    f"[{LINES[0]},{LINES[1]}] x": "something follows its end",
    f"[{LINES[0]},{line(usage())}]": "line items without a Currency",
    '{"error":{"code":"x","message":"no"}}': "not a recognisable line item",
    "[" + line(licence(subtotal='"1,5"')) + "]": "line 1, Subtotal",
}


@pytest.mark.parametrize("text", REFUSED, ids=[str(at) for at in range(len(REFUSED))])
def test_json_that_is_incomplete_or_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "side").write_text(text, encoding="utf-8")
    with pytest.raises(CounterfoilError) as raised:
        totals(str(tmp_path / "side"))
    assert REFUSED[text] in str(raised.value)
    assert raised.value.remedy
