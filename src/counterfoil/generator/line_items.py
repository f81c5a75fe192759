"""Line items as JSON lines, and into a file: the entry point of the generator.

The same arguments give the same bytes: on every machine, with any PYTHONHASHSEED, this year or the next. Memory
does not grow with the number of line items, only with the (bounded) number of customers and meters.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from isal import isal_zlib

from counterfoil.columns import table_of
from counterfoil.errors import CounterfoilError, FullDiskError, UsageError
from counterfoil.generator import reconciliation_cases, usage_cases
from counterfoil.generator.cases import COVERED, Setting, Special, covering
from counterfoil.generator.months import Month
from counterfoil.generator.population import populate
from counterfoil.generator.reconciliation import ReconciliationLineItems
from counterfoil.generator.usage import UsageLineItems
from counterfoil.model import Kind, Scope, tenant_id
from counterfoil.periods import BillingPeriod

LINE_ITEMS_MAX = 1_000_000_000
RESELLERS_MAX = 10_000
DEFAULT_RESELLERS = 8
DEFAULT_CURRENCY = "EUR"
_CHUNK_LINE_ITEMS = 500  # about a megabyte
_GZIP_WBITS = 31  # a single gzip member; its header holds no time and no name


def generate(
    kind: Kind,
    line_items: int,
    *,
    seed: int = 0,
    partner: str,
    scope: Scope,
    currency: str | None = None,
    resellers: int = DEFAULT_RESELLERS,
    special: bool = False,
    hostile: bool = False,
) -> Iterator[bytes]:
    """Return the line items as JSON lines in Graph's spelling, in chunks of whole lines.

    `currency` is what an invoice is billed in; an unbilled scope says it itself. With `special` the first 64 line items
    hold every special case that each of Microsoft's SDKs can read (huge amounts are among them), and with `hostile`
    also those that some cannot. Raises UsageError, before the first chunk, for arguments that cannot be right.
    """
    partner = tenant_id(partner)
    if not 1 <= line_items <= LINE_ITEMS_MAX:
        raise UsageError(f"{line_items} line items cannot be generated.", remedy=f"Ask for 1 to {LINE_ITEMS_MAX:,}.")
    if not 0 <= resellers <= RESELLERS_MAX:
        raise UsageError(f"{resellers} resellers cannot be generated.", remedy=f"Ask for 0 to {RESELLERS_MAX:,}.")
    wanted = Special.HOSTILE if hostile else Special.TAME if special else Special.NONE
    return _chunks(kind, line_items, seed, partner, scope, _billing_currency(scope, currency), resellers, wanted)


def write(chunks: Iterable[bytes], target: Path | BinaryIO, progress: Callable[[int], None] = lambda _: None) -> None:
    """Write chunks to an open binary stream or to a file, which is whole or not there; `.gz` compresses.

    `progress` is called after each chunk with the number of line items written so far.
    """
    with writing(target) as put:
        written = 0
        for chunk in chunks:
            put(chunk)
            written += chunk.count(b"\n")
            progress(written)


@contextmanager
def writing(target: Path | BinaryIO) -> Iterator[Callable[[bytes], None]]:
    """Give what writes chunks to a stream or to a file, for writing several at a time; see `write`."""
    compresses = isinstance(target, Path) and target.name.lower().endswith(".gz")
    gzip = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _GZIP_WBITS) if compresses else None
    name = str(target) if isinstance(target, Path) else "standard output"
    with _our_errors(name), _opened(target) if isinstance(target, Path) else nullcontext(target) as out:

        def put(chunk: bytes) -> None:
            with _our_errors(name):  # here too, so that an error of another file is not put down to this one
                out.write(gzip.compress(chunk) if gzip else chunk)

        yield put
        if gzip:
            out.write(gzip.flush())
        out.flush()


def _chunks(
    kind: Kind,
    line_items: int,
    seed: int,
    partner: str,
    scope: Scope,
    currency: str,
    resellers: int,
    special: Special,
) -> Iterator[bytes]:
    month = Month.of(scope)
    population = populate(partner, seed, line_items, resellers)
    key = "\n".join((partner, str(seed), scope.invoice, scope.period, scope.currency))
    maker = UsageLineItems if kind is Kind.USAGE else ReconciliationLineItems
    cases = usage_cases.CASES if kind is Kind.USAGE else reconciliation_cases.CASES
    ordinary = max(0, line_items - COVERED)
    made = maker(population, key, month, scope.invoice, currency, ordinary)
    sold = (subscription.customer.reseller for subscription in population.subscriptions)
    setting = Setting(month, currency, next(filter(None, sold), ""))
    one = partial(_one, made, ordinary)
    first = list(covering(table_of(kind), cases, one, setting, special))
    yield b"".join(first[:line_items])
    for start in range(0, ordinary, _CHUNK_LINE_ITEMS):
        yield made.block(start, min(start + _CHUNK_LINE_ITEMS, ordinary))


def _one(made: UsageLineItems | ReconciliationLineItems, ordinary: int, number: int) -> bytes:
    return made.block(ordinary + number, ordinary + number + 1)


def _billing_currency(scope: Scope, currency: str | None) -> str:
    if scope.is_billed:
        # Scope knows what a currency looks like; the period is of no meaning here.
        return Scope.unbilled(BillingPeriod(2000, 1), currency or DEFAULT_CURRENCY).currency
    if currency is not None and currency.upper() != scope.currency:
        raise UsageError(f"The scope is in {scope.currency}, and the currency was given as {currency}.")
    return scope.currency


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its name only when all of it is written; a device or pipe is written directly."""
    partial = path.with_name(f"{path.name}.partial") if path.is_file() or not path.exists() else path
    try:
        with partial.open("wb") as out:
            yield out
        if partial != path:
            partial.replace(path)
    except BaseException:
        if partial != path:
            with suppress(OSError):
                partial.unlink()
        raise


@contextmanager
def _our_errors(target: str) -> Iterator[None]:
    """Turn what the system refuses into our own errors; a reader that went away is the caller's business."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise FullDiskError(f"There is no room left for {target}; what was written is not whole.") from error
        reason = error.strerror or str(error)
        raise CounterfoilError(f"{target} cannot be written: {reason}.", remedy="Name another file.") from error
