"""`counterfoil anonymize`: a real month becomes a fixture that may leave the house."""

from __future__ import annotations

import secrets
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from counterfoil.cli.options import NamedPath, with_output
from counterfoil.cli.output import Output
from counterfoil.errors import UsageError
from counterfoil.printable_text import counted


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE|PULL...", type=NamedPath())
@click.option("--out", "-o", required=True, metavar="FOLDER", type=NamedPath(), help="Where to: a new folder.")
@click.option(
    "--key",
    metavar="FILE",
    type=NamedPath(),
    help="The same key gives the same pseudonyms. Made if the file is not there. Without one, a key is used once.",
)
@click.option("--scale", default="1", metavar="FACTOR", help="Multiply all amounts, exactly: 0.37.  [default: 1]")
@click.option("--keep", multiple=True, metavar="ATTRIBUTE", help="Leave this attribute as it is. May be repeated.")
@with_output
def anonymize(
    *, paths: tuple[Path, ...], out: Path, key: Path | None, scale: str, keep: tuple[str, ...], output: Output
) -> None:
    """Write line items anew without what says whose they are.

    Ids, names, domains, resources, tags and all attributes that are unknown are replaced by pseudonyms, the same value
    by the same one, in every file. Without the key nobody gets from a pseudonym to its value: keep it in the house, or
    give none. Every digit, sign and date stays, and so does the order of the lines; so totals stay as well, unless
    --scale multiplies the amounts. Products, meters, regions and other words of Microsoft's stay, unless the name of
    one of your customers is in them.

    FILE is anything that `publish` reads, PULL the folder of a pull, or any folder of files. CSV stays CSV; everything
    else becomes JSON lines.

    \b
    A pull as a fixture:
      counterfoil anonymize pulls/contoso/usage-2026-10 -o fixtures/october --key ~/.counterfoil-key
    With other amounts:
      counterfoil anonymize usage.jsonl.gz -o fixtures/usage --scale 0.37
    """
    from counterfoil.anonymizing import anonymize as anonymized
    from counterfoil.anonymizing import read_or_make_key

    factor = _factor(scale)
    secret, is_new = read_or_make_key(key) if key is not None else (secrets.token_bytes(32), False)
    if is_new:
        output.note(f"Made the key {key}. Whoever has it can link pseudonyms to values: keep it in the house.")
    with output.progress("Anonymizing line items") as advance:
        files = anonymized(paths, out, key=secret, scale=factor, keep=keep, progress=advance)
    line_items = sum(file.line_items for file in files)
    sentence = f"Wrote {counted(line_items, 'line item')} into {counted(len(files), 'file')} in {out}."
    named = [{"name": file.name, "kind": file.kind.value, "lineItems": file.line_items} for file in files]
    output.done(sentence, {"folder": str(out), "lineItems": line_items, "files": named})


def _factor(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise UsageError(f"--scale is {text!r}, and must be a number.", remedy="Give one such as 0.37.") from None
