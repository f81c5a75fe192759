"""Profiles: a source to pull from, how to sign in there, and what is expected from it every month.

A profile is one `[profiles.NAME]` table of the settings file. It lists what is *expected*, so everything it lists is
checked here, before any request is sent. An invoice's number does not show its month, so an operator who wants to
hear that an invoice is overdue writes the month beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from counterfoil.errors import UsageError
from counterfoil.model import AttributeSet, Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.setting_values import (
    NamedValueError,
    WrongValueError,
    did_you_mean,
    one_of,
    optional,
    read_base_url,
    read_path,
    read_url,
    read_value,
    read_variable_name,
    refuse_unknown,
    setting,
    whole_number,
)

FORMATS: Final = ("blobs", "parquet", "csv", "xlsx")
STATES_KEPT: Final = 30
NONE: Final = "none"
PERIODS: Final = ("current", "last")


@dataclass(frozen=True, slots=True, order=True)
class ListedInvoice:
    """An invoice that a profile expects, and its billing period if the profile gives one."""

    id: str
    month: BillingPeriod | None = None

    def __str__(self) -> str:
        return f"{self.month}: {self.id}" if self.month else self.id


@dataclass(frozen=True, slots=True)
class ListedInvoices(Sequence[ListedInvoice]):
    """The invoices that a profile lists, and what it says of there being none.

    `months` are those of which it says all there is to say: an invoice is listed, or the word `none`.
    """

    listed: tuple[ListedInvoice, ...] = ()
    months: frozenset[BillingPeriod] = frozenset()
    none_wanted: bool = False

    def __getitem__(self, at: Any) -> Any:
        return self.listed[at]

    def __len__(self) -> int:
        return len(self.listed)

    def __str__(self) -> str:
        return NONE if self.none_wanted else ", ".join(map(str, self.listed))


def _texts(value: object) -> list[str]:
    """Read a list of texts; one alone will do."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
        raise WrongValueError("must be a list of texts")
    return [each.strip() for each in listed]


def _list_of(read: Callable[[str], str]) -> Callable[[object], tuple[str, ...]]:
    """Return a reader of lists, without what is said twice."""
    return lambda value: tuple(dict.fromkeys(_checked(read, each) for each in _texts(value)))


def _checked(read: Callable[[str], str], given: str) -> str:
    try:
        return read(given)
    except UsageError as error:
        raise NamedValueError(f"is wrong: {error.message} {error.remedy}".rstrip(" .")) from None


def _kind(given: str) -> str:
    if given not in set(Kind):
        raise WrongValueError(f"must list {' or '.join(repr(kind.value) for kind in Kind)}")
    return given


def _format(given: str) -> str:
    if given not in FORMATS:
        raise UsageError(
            f"{given!r} is not a format.{did_you_mean(given, FORMATS)}", remedy=f"Write {', '.join(FORMATS)}."
        )
    return given


def _currency(given: str) -> str:
    return Scope.unbilled(BillingPeriod(2000, 1), given).currency


def _period(given: str) -> str:
    word = {"previous": "last"}.get(given.lower(), given.lower())
    if word in PERIODS:
        return word
    if not word[:1].isdigit():
        raise UsageError(
            f"{given!r} is not a billing period.{did_you_mean(word, PERIODS)}",
            remedy="Write current, last, or a month as YYYY-MM.",
        )
    return str(BillingPeriod.parse(given))


def _invoices(value: object) -> ListedInvoices:
    """Read a list of invoice ids, or a table from month to such a list; `none` says that there is no invoice."""
    if value == NONE:
        return ListedInvoices(none_wanted=True)
    by_month: Iterable[tuple[BillingPeriod | None, object]] = [(None, value)]
    if isinstance(value, Mapping):
        by_month = [(BillingPeriod.parse(_checked(_month, str(month))), ids) for month, ids in value.items()]
    listed = [
        ListedInvoice(_checked(lambda given: Scope.billed(given).invoice, each), month)
        for month, ids in by_month
        if ids != NONE
        for each in _texts(ids)
    ]
    ids = [each.id for each in listed]
    if twice := next((each for each in ids if ids.count(each) > 1), ""):
        raise WrongValueError(f"must list each invoice once, and {twice} is there twice")
    without = {month for month, ids in by_month if month and ids == NONE}
    return ListedInvoices(tuple(listed), frozenset(without | {each.month for each in listed if each.month}))


def _month(given: str) -> str:
    return str(BillingPeriod.parse(given))


@dataclass(frozen=True, slots=True)
class Profile:
    """A source to pull from, under a name of its own: one `[profiles.NAME]` table of the settings file."""

    name: str
    url: str = setting("", "The source's base URL, without `/v1.0` or `/v1`.", read_base_url)
    api: str = setting("graph", "Which of its APIs to use: `graph` or `v1`.", one_of("graph", "v1"))
    tenant: str = setting("", "The partner's tenant id.")
    client_id: str = setting("", "The application that signs in.")
    client_secret: str = setting("", "Its secret. Better kept out of the file: see `client_secret_env`.", secret=True)
    client_secret_env: str = setting("", "The environment variable that holds the secret.", read_variable_name)
    client_certificate: Path | None = setting(
        None,
        "A PEM file, beside this one, with the certificate and private key that the application signs in with, "
        "in place of a secret.",
        optional(read_path),
    )
    client_certificate_password_env: str = setting(
        "", "The environment variable that holds the password of its private key, if it has one.", read_variable_name
    )
    token: str = setting("", "A ready bearer token. Better kept out of the file: see `token_env`.", secret=True)
    token_env: str = setting(
        "", "The environment variable that holds a ready bearer token, instead of signing in.", read_variable_name
    )
    authority: str = setting("", "Where to sign in, when it is neither Microsoft nor the source itself.", read_url)
    scope: str = setting("", "The scope to ask for, when it is not the API's own.")
    kinds: tuple[str, ...] = setting(
        tuple(kind.value for kind in Kind), "The kinds of line items that are expected.", _list_of(_kind)
    )
    invoices: ListedInvoices = setting(
        ListedInvoices(),
        'The invoices that are expected: a list, or a table by month such as `{ "2026-10" = ["G016907411"] }`. A month '
        'that is over and has none is reported, unless it says `"none"`; so is a profile without any, unless it says '
        '`invoices = "none"`.',
        _invoices,
    )
    currencies: tuple[str, ...] = setting(
        (), "The currencies in which unbilled line items are expected.", _list_of(_currency)
    )
    periods: tuple[str, ...] = setting(
        (),
        "The months whose unbilled line items are expected: `current`, `last`, or as `YYYY-MM`. Empty: `current` and "
        "`last`. Without `currencies`, they are reported.",
        _list_of(_period),
    )
    attribute_set: str = setting(
        "full",
        "How many attributes each line item has (Graph only): `full` or `basic`.",
        one_of(*(each.value for each in AttributeSet)),
    )
    to: Path | None = setting(
        None,
        "The folder below which pulls are kept, beside this file. Empty: `counterfoil-pulls/NAME` in the folder in "
        "which the command is started, wherever this file is.",
        optional(read_path),
    )
    format: tuple[str, ...] = setting(
        ("blobs",),
        'What a pull leaves there: `blobs`, `parquet`, `csv` or `xlsx`, or several: `["csv", "xlsx"]`.',
        _list_of(_format),
    )
    keep: int = setting(
        STATES_KEPT, "How many former states of each pull are kept, beside the folder `to`.", whole_number(0, 100_000)
    )
    billed_due_days: int = setting(
        10, "How many days after its month an invoice that is not there is called overdue.", whole_number(0, 366)
    )
    unbilled_due_days: int = setting(
        3,
        "How many days into a month its unbilled line items, if none are there, are called overdue.",
        whole_number(0, 366),
    )


class Profiles(Mapping[str, Profile]):
    """The profiles of a settings file, by name. It remembers the file, whether that is there or not."""

    def __init__(self, named: Mapping[str, Profile] = MappingProxyType({}), file: Path | None = None) -> None:
        self._named = dict(named)
        self.file = file

    def __getitem__(self, name: str) -> Profile:
        return self._named[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

    def named(self, name: str) -> Profile:
        """Return the profile of that name; raises UsageError that says where it was looked for."""
        if name in self._named:
            return self._named[name]
        if self.file is None or self.file.is_file():
            raise UsageError(
                f"There is no profile {name!r}.{did_you_mean(name, self._named)}",
                remedy=f"Profiles are the [profiles.NAME] tables of {self.file or 'the settings file'}.",
            )
        remedy, parameter = "Change to its folder, or name it.", "config"
        if self.file.with_name(f"{self.file.name}.txt").is_file():
            remedy, parameter = f"There is a {self.file.name}.txt: rename it to {self.file.name}.", ""
        raise UsageError(
            f"There is no profile {name!r}, because there is no {self.file.name} in {self.file.parent}.",
            remedy=remedy,
            parameter=parameter,
        )


def read_profiles(tables: object, file: Path, environ: Mapping[str, str]) -> Profiles:
    """Read the `profiles` of a settings file; raises UsageError."""
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise UsageError(f"{file.name}: profiles are written as [profiles.NAME] tables.")
    return Profiles({name: _profile(name, table, file, environ) for name, table in tables.items()}, file)


def _profile(name: str, table: Mapping[str, object], file: Path, environ: Mapping[str, str]) -> Profile:
    known = {each.name: each for each in fields(Profile) if each.name != "name"}
    where = f"{file.name}: profiles.{name}: "
    if "form" in table:
        raise UsageError(
            f"{where}form is now called format.", remedy='Write format = "csv", or several: format = ["csv", "xlsx"].'
        )
    refuse_unknown(table, known, where)
    values = {key: read_value(known[key], value, where + key) for key, value in table.items()}
    if not values.get("url"):
        raise UsageError(f"{where}url is missing.")
    for key in ("client_secret", "token"):
        if variable := values.get(f"{key}_env"):
            if values.get(key):
                raise UsageError(f"{where}{key} and {key}_env are both given; keep one.")
            values[key] = environ.get(variable, "")
    for key in ("to", "client_certificate"):
        if values.get(key):
            values[key] = file.parent / values[key]
    if values.get("client_certificate") and (values.get("client_secret") or values.get("client_secret_env")):
        raise UsageError(f"{where}client_certificate and a client secret are both given; keep one.")
    profile = Profile(name, **values)
    if profile.api == "v1" and (profile.invoices or profile.attribute_set != AttributeSet.FULL):
        what = "invoices are listed" if profile.invoices else f"attribute_set is {profile.attribute_set!r}"
        raise UsageError(
            f"{where}{what}, and the API v1 has unbilled line items with all attributes only.",
            remedy="Use api = 'graph'.",
        )
    return profile
