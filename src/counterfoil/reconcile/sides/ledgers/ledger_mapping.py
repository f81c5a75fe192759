"""A mapping: which columns of a ledger are which attributes of a charge, and how its values are written.

    [source]
    file = "october.xlsx"
    sheet = "Invoices"
    currency = "EUR"

    [columns]
    CustomerId = "Tenant"
    Subtotal = "Net amount"

    [values.ChargeType]
    Neukauf = "new"

    [sale]
    amount = "Sales price, total"

The trap: whatever the mapping does not name is not told by the ledger. It is never zero.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from counterfoil.columns import RECONCILIATION, USAGE, Column, Type, table_of
from counterfoil.errors import SideError, UsageError
from counterfoil.model import Kind
from counterfoil.reconcile.sides.ledgers.ledger_keys import KEYS, keys_that_count
from counterfoil.setting_values import did_you_mean, is_variable_name

DEBIT: Final = "Debit"
CREDIT: Final = "Credit"
NET: Final = "Subtotal"
SALE_AMOUNT: Final = "SaleAmount"
SALE_PRICE: Final = "SalePrice"
PRICES: Final = ("UnitPrice", "EffectiveUnitPrice")  # before tax, so of no use where amounts are with it
OTHER_SIGN: Final = {".": ",", ",": "."}  # before decimals, where the one is between thousands
DATE_ORDERS: Final = ("dmy", "mdy", "ymd")
TOTALS_SKIPPED: Final = "skip"
_SIZE_BYTES_MAX: Final = 4 << 20
_REMEDY: Final = "`counterfoil mapping suggest FILE` drafts a mapping."
# What usage line items call the attributes that the others have, too.
IN_USAGE: Final[Mapping[str, str]] = {"Subtotal": "BillingPreTaxTotal", "Currency": "BillingCurrency"}
_OUR_NAME: Final = {usage: ours for ours, usage in IN_USAGE.items()} | {"BillableQuantity": "Quantity"}
# They are not a ledger's to tell: whose bill it is says the other side.
_USAGE_ONLY: Final = frozenset(USAGE.by_name) - frozenset(RECONCILIATION.by_name)


@dataclass(frozen=True, slots=True)
class LedgerSource:
    """Where the table of a ledger is, and how its texts are written; '' is "not said".

    A database is named by the environment variable that holds its address, so that no password is in the file.
    """

    file: str = ""
    sheet: str = ""
    sql: str = ""
    url_env: str = ""
    encoding: str = ""
    decimal: str = ""
    thousands: str = ""
    date: str = ""
    currency: str = ""
    totals: str = ""


@dataclass(frozen=True, slots=True)
class LedgerMapping:
    """What a mapping file says. `columns` are ours = theirs, `values` of an attribute theirs (case-blind) = ours.

    `path` is the file that said it; files that it names are beside it.
    """

    columns: Mapping[str, str]
    source: LedgerSource = LedgerSource()
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    path: Path | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The attributes that tell which lines of two sides belong together, as far as they are mapped."""
        return tuple(name for name in KEYS if name in self.columns)

    @property
    def matched_by(self) -> tuple[str, ...]:
        """The attributes by which lines find their charges: of several that name one thing, the first."""
        return keys_that_count(self.keys)

    @property
    def has_sales(self) -> bool:
        """Whether the ledger tells what the customer pays."""
        return SALE_AMOUNT in self.columns or SALE_PRICE in self.columns

    @property
    def tells_gross_only(self) -> bool:
        """Whether amounts are with tax, and nothing tells how much of them is tax."""
        return "Total" in self.columns and NET not in self.columns and "TaxTotal" not in self.columns

    @property
    def tells_tax(self) -> bool:
        """Whether tax is told, or follows from what is."""
        return "TaxTotal" in self.columns or {NET, "Total"} <= self.columns.keys()

    @property
    def kind(self) -> Kind | None:
        """The kind of line items that the ledger is of, None where both may be compared with it."""
        return Kind.USAGE if _USAGE_ONLY & set(self.columns) else None


def column_of(name: str) -> Column:
    """Return the attribute of this name, as our table of columns has it; net is Subtotal, whatever the kind."""
    return RECONCILIATION.by_name.get(name) or USAGE.by_name[name]


def is_amount(name: str) -> bool:
    """Whether the values of a mapped column are numbers."""
    return name in (DEBIT, CREDIT, SALE_AMOUNT, SALE_PRICE) or column_of(name).type is Type.NUMBER


def read_mapping(path: Path) -> LedgerMapping:
    """Read a mapping file; raises UsageError, which says what is wrong with it and what to write."""
    try:
        if path.stat().st_size > _SIZE_BYTES_MAX:
            raise UsageError(f"{path} is larger than a mapping may be.", remedy=_REMEDY)
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.", remedy=_REMEDY) from error
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no mapping: it is not UTF-8 text.", remedy=_REMEDY) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is no mapping, for it is not TOML: {error}.", remedy=_REMEDY) from error
    return mapping_of(document, str(path), path)


def mapping_of(document: Mapping[str, Any], name: str, path: Path | None = None) -> LedgerMapping:
    """Return the mapping that a parsed document is; raises UsageError that begins with `name`."""
    _refuse_unknown(document, ("source", "columns", "values", "sale"), f"{name}: ", "section")
    sections = {key: _table(document.get(key, {}), f"{name}: [{key}]") for key in document}
    source = _source_of(sections.get("source", {}), f"{name}, [source]")
    columns = _columns_of(sections.get("columns", {}), f"{name}, [columns]")
    sales = _texts(sections.get("sale", {}), f"{name}, [sale]")
    _refuse_unknown(sales, ("price", "amount"), f"{name}, [sale]: ", "key")
    columns |= {f"Sale{key.capitalize()}": theirs for key, theirs in sales.items()}
    values = {
        ours: {theirs.casefold(): mine for theirs, mine in _texts(table, f"{name}, [values.{ours}]").items()}
        for ours, table in _by_our_name(sections.get("values", {}), f"{name}, [values]").items()
    }
    if unused := [ours for ours in values if ours not in columns]:
        raise UsageError(
            f"{name}: [values.{unused[0]}] translates the values of a column that is not mapped.",
            remedy=f"Write under [columns] which column {unused[0]} is.",
        )
    mapping = LedgerMapping(columns, source, values, path)
    _check(mapping, name)
    return mapping


def _source_of(given: Mapping[str, Any], where: str) -> LedgerSource:
    _refuse_unknown(given, [each.name for each in fields(LedgerSource)], f"{where}: ", "key")
    source = LedgerSource(**_texts(given, where))
    if source.decimal not in ("", ".", ","):
        raise UsageError(f'{where}: decimal is {source.decimal!r}, and must be "." or ",".')
    if source.thousands and (len(source.thousands) > 1 or source.thousands.isalnum() or source.thousands in "-+"):
        raise UsageError(f"{where}: thousands is {source.thousands!r}, and must be one sign, such as a point.")
    if not source.decimal and source.thousands in OTHER_SIGN:
        source = replace(source, decimal=OTHER_SIGN[source.thousands])
    if source.thousands and source.thousands == source.decimal:
        raise UsageError(f"{where}: decimal and thousands are the same sign.", remedy="Change one of the two.")
    if source.date and source.date not in DATE_ORDERS:
        raise UsageError(f"{where}: date is {source.date!r}, and must be one of {', '.join(DATE_ORDERS)}.")
    if source.totals not in ("", TOTALS_SKIPPED):
        raise UsageError(f'{where}: totals is {source.totals!r}, and can only be "{TOTALS_SKIPPED}".')
    if source.currency and not (len(source.currency) == 3 and source.currency.isascii() and source.currency.isalpha()):
        raise UsageError(f"{where}: currency is {source.currency!r}, and must be a code such as EUR.")
    if source.encoding:
        try:
            "".encode(source.encoding)
        except LookupError:
            raise UsageError(
                f"{where}: there is no encoding {source.encoding!r}.", remedy="Write for instance cp1252, or utf-8."
            ) from None
    _check_database(source, where)
    return source


def _check_database(source: LedgerSource, where: str) -> None:
    if not source.sql:
        if source.url_env:
            raise UsageError(f"{where}: url_env is for a database, and there is no sql.", remedy="Write the query.")
        return
    if source.file or source.sheet:
        raise UsageError(f"{where}: a ledger is a file or a query (sql), not both.", remedy="Leave one of them out.")
    if "://" in source.url_env:
        raise UsageError(  # whatever stands there may be a password, so it is not repeated
            f"{where}: url_env holds an address.",
            remedy="Put the address into an environment variable, and write the variable's name here.",
        )
    if not source.url_env or not is_variable_name(source.url_env):
        raise UsageError(
            f"{where}: sql needs url_env, the name of the environment variable that holds the database's address.",
            remedy='Write for instance url_env = "LEDGER_URL".',
        )


def _columns_of(given: Mapping[str, Any], where: str) -> dict[str, str]:
    columns = dict(_texts(_by_our_name(given, where), where))
    seen: dict[str, str] = {}
    for ours, theirs in columns.items():
        if (before := seen.setdefault(theirs.casefold(), ours)) != ours:
            raise UsageError(
                f"{where}: {before} and {ours} are both the column {theirs!r}.", remedy="Keep the one that it is."
            )
    return columns


def _by_our_name(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the same table under the names of our attributes, in any spelling that we read; raises UsageError."""
    found: dict[str, Any] = {}
    for key, value in given.items():
        name = _our_name(key)
        if name is None:
            known = [*RECONCILIATION.by_name, *USAGE.by_name, DEBIT, CREDIT]
            raise UsageError(
                f"{where}: there is no attribute {key!r}.{did_you_mean(key, known)}",
                remedy="On the left stands our name of the attribute, and on the right the column of the ledger.",
            )
        if name in found:
            raise UsageError(f"{where}: {name} is given twice.", remedy="Keep one of the two.")
        found[name] = value
    return found


def _our_name(key: str) -> str | None:
    if key in (DEBIT, CREDIT):
        return key
    for kind in (Kind.RECONCILIATION, Kind.USAGE):
        if spelling := table_of(kind).spelling_of(key):
            return _OUR_NAME.get(spelling.column.name, spelling.column.name)
    return None


def _check(mapping: LedgerMapping, name: str) -> None:
    columns = mapping.columns
    if not mapping.keys:
        raise UsageError(
            f"{name}: no column tells whose a line is.",
            remedy=f"Map at least one of {', '.join(KEYS)} under [columns]. {_REMEDY}",
        )
    if DEBIT in columns and CREDIT not in columns:
        raise UsageError(f"{name}: Debit is mapped and Credit is not.", remedy="Map both, or call the column Subtotal.")
    if CREDIT in columns and DEBIT not in columns:
        raise UsageError(f"{name}: Credit is mapped and Debit is not.", remedy="Map both, or call the column Subtotal.")
    if DEBIT in columns and (NET in columns or "Total" in columns):
        other = NET if NET in columns else "Total"
        raise UsageError(f"{name}: both {other} and Debit are the amount.", remedy="Keep the one that counts.")
    if not {NET, "Total", DEBIT} & columns.keys():
        raise UsageError(
            f"{name}: no column is the amount.",
            remedy="Map Subtotal (before tax), Total (with tax), or Debit and Credit under [columns].",
        )
    if SALE_PRICE in columns and SALE_AMOUNT not in columns and "Quantity" not in columns:
        raise UsageError(
            f"{name}: the sale price is for one, and nothing says how many there are.",
            remedy="Map Quantity under [columns], or amount in place of price under [sale].",
        )
    if not mapping.source.currency and "Currency" not in columns:
        raise UsageError(
            f"{name}: nothing says in which currency the amounts are.",
            remedy='Map Currency, or write for instance currency = "EUR" under [source].',
        )


def _refuse_unknown(given: Mapping[str, Any], known: Any, where: str, what: str) -> None:
    for key in given:
        if key not in known:
            raise UsageError(f"{where}there is no {what} {key!r}.{did_you_mean(key, known)}")


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} must be a section of its own.", remedy="Write its name in brackets above its keys.")
    return value


def _texts(given: Any, where: str) -> dict[str, str]:
    for key, value in _table(given, where).items():
        if not isinstance(value, str) or not value:
            raise UsageError(f"{where}: {key} must be a text in quotes.", remedy=f'Write it as {key} = "...".')
    return dict(given)


def mapping_at(path: Path, name: str) -> LedgerMapping:
    """Return the mapping of a ledger that is named by it; raises SideError where it names no table."""
    mapping = read_mapping(path)
    if not mapping.source.file and not mapping.source.sql:
        raise SideError(
            f"{name} says neither which file nor which query the ledger is.",
            remedy='Write file = "..." under [source], or name the file as the side and this as its mapping.',
            parameter="mapping",
        )
    return mapping
