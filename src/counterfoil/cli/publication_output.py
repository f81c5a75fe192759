"""Telling what a publication did. By then it is in force, so nothing here may make it look as if it had failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from counterfoil import numbers
from counterfoil.cli.output import Output
from counterfoil.money import Money
from counterfoil.printable_text import counted

if TYPE_CHECKING:
    from counterfoil.datasets.publication_receipt import PublicationReceipt
    from counterfoil.model import Contents

_WARNINGS: Final = {
    "unknown": "unknown attribute {name} was kept unchanged in {lines}",
    "notInGraph": "attribute {name} is not in Graph's exports, and {lines} had it",
    "notInV1": "attribute {name} is not in the answers of Partner Center v1, and {lines} had it",
    "lost": "a spreadsheet or script destroyed {name} in {lines}: what is left was kept, take the file it was given",
    "shortened": "{name} has fewer than four digits in {lines}: a spreadsheet takes the zeros of 0007 away",
    "earlier": "{lines} dated before {name}: late usage, or a month to date that was published as a day",
    "later": "{lines} dated after {name}, before which nobody can know of them; this may be another month or day",
    "none dated": "none of {lines} is dated in {name}; this may be another month or day",
    "repeated": "{lines} in segment {name} too, and they count twice",
}
_SKIPPED, _INEXACT = "skipped", "inexact"
_REMEDY: Final = "It is in force. `counterfoil list` shows it, and publishing the same again changes nothing."
_FACTS_MAX: Final = 10  # receipts; more are a table


def print_receipts(output: Output, receipts: Sequence[PublicationReceipt]) -> None:
    """Print receipts: as facts for people, a table where there are many, and one list for programs."""
    rows = [receipt_facts(receipt) for receipt in receipts]
    if output.is_json:
        output.rows(rows)
        return
    if len(rows) > _FACTS_MAX:
        output.rows([_short(row) for row in rows])
        return
    for row in rows:
        currency = row["currency"]
        row["totals"] = _as_money(row["totals"], currency)
        for name in ("before", "difference"):
            held = row[name]
            row[name] = held and {"line items": held["lineItems"], **_as_money(held["totals"], currency)}
        row["warnings"].pop(_INEXACT, None)  # so it is with nearly all usage, and no digit is lost
        row["warnings"] = _warnings_in_words(row["warnings"])
        output.facts({name: value for name, value in row.items() if value or name not in _MAY_LACK})


_MAY_LACK: Final = frozenset({"warnings", "before", "difference", "trouble"})


def receipt_facts(receipt: PublicationReceipt) -> dict[str, Any]:
    """Return what a receipt says, by the names it has in JSON."""
    grown = {name: numbers.plain(value) for name, value in receipt.difference.items()}
    return {
        "dataset": str(receipt.dataset),
        "segment": receipt.segment,
        "lineItems": receipt.contents.line_items,
        "currency": receipt.contents.currency,
        "totals": receipt.contents.plain_totals(),
        "before": _held(receipt.before) if receipt.before is not None else None,
        "difference": {"lineItems": receipt.more_line_items, "totals": grown} if receipt.before is not None else None,
        "eTag": receipt.etag,
        "revision": receipt.revision.id if receipt.revision else None,
        "warnings": warnings_sorted(receipt.warnings),
        "trouble": receipt.trouble or None,
    }


def _held(contents: Contents) -> dict[str, Any]:
    return {"lineItems": contents.line_items, "totals": contents.plain_totals()}


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    currency, difference = row["currency"], row["difference"]
    shown = {name: row[name] for name in ("dataset", "segment", "lineItems")}
    changed = list(_as_money(difference["totals"], currency).values())[-1:] if difference else None
    return {**shown, "total": list(_as_money(row["totals"], currency).values())[-1:], "difference": changed}


def _as_money(totals: Mapping[str, str], currency: str) -> dict[str, Money]:
    return {name: Money(numbers.exact(total), currency) for name, total in totals.items()}


def warnings_sorted(warnings: Mapping[str, int]) -> dict[str, Any]:
    """Return what deserves a look by its sort (see `PublicationReceipt`), with the names it is about."""
    found: dict[str, Any] = {}
    for warning, count in sorted(warnings.items()):
        sort = next((sort for sort in (*_WARNINGS, _SKIPPED, _INEXACT) if warning.startswith(f"{sort} ")), "")
        if sort:
            found.setdefault(sort, {})[warning.removeprefix(f"{sort} ")] = count
        else:
            found[warning] = count
    return found


def _warnings_in_words(warnings: Mapping[str, Any]) -> list[str]:
    lines = []
    for sort, text in _WARNINGS.items():
        for name, count in warnings.get(sort, {}).items():
            items = counted(count, "line item")
            is_said = sort in ("earlier", "later", "repeated")
            lines.append(text.format(name=name, lines=f"{items} {_are(count)}" if is_said else items))
    for name, count in warnings.get(_SKIPPED, {}).items():
        lines.append(f"{counted(count, name)} {'was' if count == 1 else 'were'} left out")
    if refused := warnings.get("refused"):
        lines.append(f"{counted(refused, 'line')} {'was' if refused == 1 else 'were'} refused and left out")
    return lines


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def tell_published(
    output: Output, receipts: Sequence[PublicationReceipt], new_partners: Iterable[str], *, dry_run: bool
) -> None:
    """Print the receipts, and say what is to be noticed. Whatever fails is told as what it is: not the publication."""
    with_care(output, "the receipt was not printed", lambda: print_receipts(output, receipts))
    if dry_run:
        output.note("A dry run: nothing was published.")
    for partner in () if dry_run else sorted(new_partners):
        output.note(f"Partner {partner} is now registered and may be served.")
    for receipt in receipts:
        if not receipt.changed and not dry_run:
            output.note(f"{receipt.dataset}: the same line items were in force already; nothing was changed.")
        warn_of(output, receipt)


def warn_of(output: Output, receipt: PublicationReceipt) -> None:
    """Warn of what may have been a mistake, and of what failed after everything was in force."""
    found = warnings_sorted(receipt.warnings)
    if receipt.dataset.scope.period in found.get("earlier", {}):  # late usage, as in every month
        del found["earlier"]
    for sort in ("none dated", "earlier", "later", "repeated"):
        for line in _warnings_in_words({sort: found.get(sort, {})}):
            output.warning(f"{receipt.dataset}, segment {receipt.segment}: {line}.")
    if receipt.trouble:
        trouble = receipt.trouble.rstrip(".")
        output.warning(f"{receipt.dataset} is in force, but something failed after that: {trouble}. {_REMEDY}")


def with_care(output: Output, what_failed: str, step: Callable[[], None]) -> None:
    """Do what follows a commit. Where it fails, warn that everything is in force, and what to do.

    A reader that went away (a closed pipe) is no failure of this kind, and is told as always.
    """
    try:
        step()
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the publication is in force
        output.warning(f"Everything is in force, but {what_failed}: {_said(error)}. {_REMEDY}")


def _said(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
