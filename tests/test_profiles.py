"""What a profile may list, and how it says what cannot be right before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.errors import UsageError
from counterfoil.periods import BillingPeriod
from counterfoil.profiles import ListedInvoice, Profile
from counterfoil.settings import Settings

BEGIN = "[profiles.contoso]\nurl = 'https://graph.example'\n"


def profile(folder: Path, text: str = "", begin: str = BEGIN) -> Profile:
    (folder / "counterfoil.toml").write_text(begin + text, encoding="utf-8")
    return Settings.load(environ={}, directory=folder).profile("contoso")


def test_a_profile_that_lists_nothing_expects_both_kinds_of_both_months_in_no_currency(tmp_path: Path) -> None:
    found = profile(tmp_path)
    assert (found.kinds, found.periods) == (("reconciliation", "usage"), ())
    assert (list(found.invoices), found.currencies, found.to) == ([], (), None)


def test_what_is_listed_is_read_as_it_will_be_asked_for(tmp_path: Path) -> None:
    found = profile(
        tmp_path,
        "kinds = 'usage'\ncurrencies = ['eur', 'USD', 'EUR']\nperiods = ['Previous', '2026-10']\n"
        "invoices = ['g016907411']\nformat = 'csv'\nattribute_set = 'basic'\nto = 'kept'\nbilled_due_days = 12\n",
    )
    assert found.kinds == ("usage",)
    assert found.currencies == ("EUR", "USD")
    assert found.periods == ("last", "2026-10")
    assert list(found.invoices) == [ListedInvoice("G016907411")]
    assert (found.format, found.attribute_set, found.to) == (("csv",), "basic", tmp_path / "kept")
    assert (found.billed_due_days, found.unbilled_due_days) == (12, 3)


def test_invoices_may_bear_their_month(tmp_path: Path) -> None:
    found = profile(tmp_path, "invoices = { '2026-10' = ['G1', 'G2'], '2026-11' = 'G3' }")
    october, november = BillingPeriod(2026, 10), BillingPeriod(2026, 11)
    assert list(found.invoices) == [
        ListedInvoice("G1", october),
        ListedInvoice("G2", october),
        ListedInvoice("G3", november),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kinds = ['license']", "kinds must list 'reconciliation' or 'usage', not ['license']."),
        ("kinds = 1", "kinds must be a list of texts, not 1."),
        ("currencies = ['EURO']", "currencies is wrong: 'EURO' is not a currency. Use three letters, such as EUR."),
        (
            "periods = ['lst']",
            "periods is wrong: 'lst' is not a billing period. Did you mean 'last'? Write",
        ),
        ("periods = ['2026-13']", "periods is wrong: '2026-13' is not a billing period."),
        ("invoices = ['G 1']", "invoices is wrong: 'G 1' is not an invoice id."),
        ("invoices = ['G1', 'g1']", "invoices must list each invoice once, and G1 is there twice, not"),
        ("invoices = { 'October' = ['G1'] }", "invoices is wrong: 'October' is not a billing period."),
        ("invoices = { '2026-10' = [1] }", "invoices must be a list of texts"),
        ("format = 'json'", "format is wrong: 'json' is not a format. Write blobs, parquet, csv, xlsx."),
        ("format = ['csv', 'xslx']", "format is wrong: 'xslx' is not a format. Did you mean 'xlsx'?"),
        ("form = 'csv'", "form is now called format."),
        ("attribute_set = 'all'", "attribute_set must be 'full' or 'basic', not 'all'."),
        ("billed_due_days = -1", "billed_due_days must be a whole number from 0 to 366, not -1."),
        ("unbilled_due_days = 1.5", "unbilled_due_days must be a whole number from 0 to 366, not 1.5."),
        ("to = 1", "to must be a path, not 1."),
        ("currency = ['EUR']", "there is no setting 'currency'. Did you mean 'currencies'?"),
        ("api = 'v1'\ninvoices = ['G1']", "invoices are listed, and the API v1 has unbilled line items"),
        ("api = 'v1'\nattribute_set = 'basic'", "attribute_set is 'basic', and the API v1 has unbilled line items"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        profile(tmp_path, text)
    assert f"counterfoil.toml: profiles.contoso: {said}" in str(refused.value)


def test_an_absolute_folder_stays_where_it_is(tmp_path: Path) -> None:
    assert profile(tmp_path, f"to = '{tmp_path / 'x'}'").to == tmp_path / "x"
