"""A comparison as one HTML file, for somebody who has to say why the bill differs.

It makes no request and is readable without its script. The largest differences are on it with their line items; each
total leads to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from counterfoil.reconcile.comparing.comparison import Comparison
from counterfoil.reconcile.reports.bridge_rows import bridge_of, group_tables
from counterfoil.reconcile.reports.difference_rows import DIFFERENCES_SHOWN_MAX, DifferenceRow, difference_row
from counterfoil.reconcile.reports.headline import headline, lead
from counterfoil.reconcile.reports.page_layout import write_page
from counterfoil.reconcile.reports.report_facts import COMPARING, facts, stages_in_words, words_used
from counterfoil.reconcile.reports.side_words import words_of_sides
from counterfoil.reconcile.reports.waterfall import WIDTH


def write_comparison_page(comparison: Comparison, path: Path | str) -> None:
    """Write the page.

    Raises UsageError where there is something of that name already or no folder, and CounterfoilError if it cannot be
    written. Then there is no file.
    """
    left, right = words_of_sides(comparison)
    bridge = bridge_of(comparison, left.title, right.title)
    tables = group_tables(comparison, bridge)
    titles = {row.cause: row.words.title for row in bridge.rows}
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
        "lead": lead(comparison, causes),
        "left": left,
        "right": right,
        "bridge": bridge,
        "tables": tables,
        "titles": titles,
        "differences": rows,
        "first_of": _first_of(rows),
        "shown_max": DIFFERENCES_SHOWN_MAX,
        "width": WIDTH,
        "facts": list(facts(comparison, left, right)),
        "stages": stages_in_words(comparison),
        "words": list(words_used(bridge, left, right)),
    }
    write_page(Path(path), "comparison.html", values)


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
