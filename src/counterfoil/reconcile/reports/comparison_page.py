"""A comparison as one HTML file, for somebody who has to say why the bill differs.

It makes no request and is readable without its script. The largest differences are on it with their line items; each
total leads to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from counterfoil.printable_text import printable
from counterfoil.reconcile.comparing.comparison import Comparison
from counterfoil.reconcile.reports.bridge_rows import GroupTable, bridge_of, group_tables
from counterfoil.reconcile.reports.cause_words import titles_of_causes
from counterfoil.reconcile.reports.difference_rows import DIFFERENCES_SHOWN_MAX, DifferenceRow, difference_row
from counterfoil.reconcile.reports.headline import headline, lead
from counterfoil.reconcile.reports.margin_rows import MarginTable, margin_table
from counterfoil.reconcile.reports.page_layout import write_page
from counterfoil.reconcile.reports.report_facts import COMPARING, facts, stages_in_words, words_used
from counterfoil.reconcile.reports.shown_amounts import ShownAmount
from counterfoil.reconcile.reports.side_words import words_of_sides
from counterfoil.reconcile.reports.waterfall import WIDTH
from counterfoil.reconcile.side_totals import By


def write_comparison_page(comparison: Comparison, path: Path | str) -> None:
    """Write the page.

    Raises UsageError where there is something of that name already or no folder, and CounterfoilError if it cannot be
    written. Then there is no file.
    """
    left, right = words_of_sides(comparison)
    bridge = bridge_of(comparison, left.title, right.title)
    tables = group_tables(comparison, bridge)
    titles = titles_of_causes(left.title, right.title)
    rows = [
        difference_row(found, comparison.kind, comparison.currency, tables, titles)
        for found in comparison.differences(limit=DIFFERENCES_SHOWN_MAX)
    ]
    causes = [(row.words.title, row.amount) for row in bridge.rows]
    values = {
        "comparison": comparison,
        "currency": comparison.currency,
        "comparing": COMPARING[comparison.comparing],
        "title": headline(comparison, (left, right), bridge.difference),
        "lead": lead(comparison, causes, _customers(tables)),
        "left": left,
        "right": right,
        "bridge": bridge,
        "tables": tables,
        "titles": titles,
        "margins": _margin_tables(comparison),
        "differences": rows,
        "first_of": _first_of(rows),
        "shown_max": DIFFERENCES_SHOWN_MAX,
        "width": WIDTH,
        "facts": list(facts(comparison, left, right)),
        "stages": stages_in_words(comparison),
        "words": list(words_used(bridge, left, right)),
    }
    write_page(Path(path), "comparison.html", values)


def _margin_tables(comparison: Comparison) -> list[MarginTable]:
    """Return what was earned by customer and by product; nothing without sale prices."""
    margins, currency = comparison.margins, comparison.currency
    if margins is None:
        return []
    groups = (("customer", margins.by_customer()), ("product", margins.by_product()))
    return [margin_table(word, found, margins.total, currency) for word, found in groups]


def _customers(tables: Sequence[GroupTable]) -> list[tuple[str, ShownAmount]]:
    """Return the customers with an amount, the largest first; several of one name are told apart by their ids."""
    rows = [row for table in tables if table.by is By.CUSTOMER for row in table.rows if row.number is not None]
    names = Counter(row.name for row in rows)
    return [
        (printable(row.name if row.name and names[row.name] == 1 else f"{row.name} {row.key}".strip()), row.difference)
        for row in rows
        if row.difference.exact
    ]


def _first_of(rows: Sequence[DifferenceRow]) -> dict[tuple[str, str], str]:
    """Return where the largest difference of each cause and group is, for links that lead there without the script."""
    places: dict[tuple[str, str], str] = {}
    for row in rows:
        place = f"d{row.number}"
        for slug in row.slugs.split():
            places.setdefault(("causes", slug), place)
        for by, its_numbers in row.groups.items():
            for number in its_numbers.split():
                places.setdefault((by, number), place)
    return places
