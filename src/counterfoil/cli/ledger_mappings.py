"""`counterfoil mapping`: draft what says which columns of a ledger are what, and check it."""

from __future__ import annotations

from pathlib import Path

import click

from counterfoil.cli.options import NamedPath, with_common, with_output
from counterfoil.cli.output import Output
from counterfoil.errors import UsageError
from counterfoil.printable_text import counted


@click.group()
@with_common
def mapping() -> None:
    """Say which columns of your own ledger are what, so that it can be compared with the provider's bill."""


@mapping.command()
@click.argument("file", type=NamedPath(), metavar="FILE")
@click.option("--sheet", metavar="NAME", default="", help="The sheet of a workbook that has several.")
@click.option("-o", "out", metavar="FILE", type=NamedPath(), help="Write the mapping here; it must not exist yet.")
@with_output
def suggest(file: Path, sheet: str, out: Path | None, output: Output) -> None:
    """Draft the mapping of the ledger in FILE: CSV, Excel (.xlsx) or Parquet.

    The draft goes by the names of the columns, in several languages, and by the values in them: tenant ids, dates,
    currencies. What is inferred from little is marked with a ?, and what nothing says is left open. Nothing is guessed
    in silence.

    \b
    Examples:
      counterfoil mapping suggest october.xlsx --sheet Purchases -o ledger.toml
      counterfoil mapping suggest october.csv > ledger.toml
    """
    from counterfoil.reconcile import suggest_mapping

    draft = suggest_mapping(file, sheet=sheet, written_to=out)
    text = draft.to_toml()
    if out is not None:
        _write(out, text)
    if output.is_json:
        output.facts(
            {
                "mapping": text,
                "file": str(out) if out else None,
                "lookAt": draft.to_be_looked_at,
                "toBeFilledIn": draft.open_questions,
                "notUsed": draft.unused,
            }
        )
    elif out is None:
        for line in text.splitlines():
            output.text("", line)
    for question in draft.open_questions:
        output.warning(f"To be filled in: {question}.")
    for line in draft.to_be_looked_at:
        output.note(f"Look at {line}")
    output.note(f"Check it with: counterfoil mapping check {out or 'ledger.toml'}")


def _write(out: Path, text: str) -> None:
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{out} is there already.", remedy="Name another file, or move that one away.") from None
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}.", remedy="Name another file.") from error


@mapping.command()
@click.argument("mapping_file", type=NamedPath(), metavar="MAPPING")
@click.argument("ledger", type=NamedPath(), metavar="[FILE]", required=False)
@with_output
def check(mapping_file: Path, ledger: Path | None, output: Output) -> None:
    """Read a ledger through MAPPING, all of it, and say what was understood: lines, sums, customers, days.

    FILE is the ledger, where it is another than the mapping names: that of the next month, for instance.

    \b
    Examples:
      counterfoil mapping check ledger.toml
      counterfoil mapping check ledger.toml november.xlsx --output json
    """
    from counterfoil.reconcile import check_ledger

    with output.progress("Lines") as advance:
        found = check_ledger(mapping_file, ledger, progress=advance)
    if output.is_json:
        output.facts(found.to_json())
        return
    facts: dict[str, object] = {
        "ledger": found.ledger,
        "lines": found.lines,
        "customers": found.customers,
        "matchedBy": ", ".join(found.mapping.matched_by),
    }
    if found.first_day:
        facts["days"] = f"{found.first_day} to {found.last_day}"
    for currency, sums in sorted(found.sums.items()):
        facts |= {f"{name} ({currency})": format(amount, "f") for name, amount in sums.items()}
    output.facts(facts)
    for note in found.notes:
        output.warning(note)
    output.note(f"{counted(found.lines, 'line')} understood.")
