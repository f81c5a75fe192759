"""What a profile expects, by when, and in which folder: the rules by which something is called overdue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.client.holdings.expected import expected_of, folder_name, folder_of, root_of
from counterfoil.client.holdings.status import State, absent_state
from counterfoil.client.protocol.asking import ask_billed, ask_unbilled
from counterfoil.errors import UsageError
from counterfoil.model import INVOICE_ID_LENGTH_MAX, Kind
from counterfoil.periods import BillingPeriod
from counterfoil.profiles import ListedInvoice, ListedInvoices, Profile

NOW = datetime(2026, 11, 5, 9, tzinfo=UTC)
OCTOBER = BillingPeriod(2026, 10)
INVOICE_IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=INVOICE_ID_LENGTH_MAX)


def test_every_kind_of_every_invoice_and_of_every_month_and_currency_is_expected_once() -> None:
    profile = Profile(
        "p",
        invoices=ListedInvoices((ListedInvoice("G1"),)),
        currencies=("EUR", "USD"),
        periods=("current", "last", "2026-10"),
    )
    assert [str(each) for each in expected_of(profile, NOW)] == [
        "reconciliation of invoice G1",
        "usage of invoice G1",
        "reconciliation of 2026-11 EUR",
        "usage of 2026-11 EUR",
        "reconciliation of 2026-11 USD",
        "usage of 2026-11 USD",
        "reconciliation of 2026-10 EUR",
        "usage of 2026-10 EUR",
        "reconciliation of 2026-10 USD",
        "usage of 2026-10 USD",
    ]


def test_currencies_and_months_are_expected_together_only() -> None:
    assert expected_of(Profile("p", periods=("current",)), NOW) == []


def test_an_invoice_is_due_some_days_after_its_month_and_without_a_month_never() -> None:
    profile = Profile(
        "p", kinds=("usage",), invoices=ListedInvoices((ListedInvoice("G1", OCTOBER), ListedInvoice("G2")))
    )
    dated, undated = expected_of(profile, NOW)
    due_at = datetime(2026, 11, 11, tzinfo=UTC)
    assert dated.due_at == due_at
    assert absent_state(dated, Path("none"), due_at - timedelta(seconds=1)) is State.AWAITED
    assert absent_state(dated, Path("none"), due_at) is State.OVERDUE
    assert absent_state(undated, Path("none"), datetime(2030, 1, 1, tzinfo=UTC)) is State.AWAITED


def test_a_month_that_has_not_begun_is_refused() -> None:
    with pytest.raises(UsageError, match=r"The profile 'p' has '2026-12' in its periods.*not begun.*2026-11 \(current"):
        expected_of(Profile("p", currencies=("EUR",), periods=("current", "2026-12")), NOW)


def test_unbilled_line_items_are_due_early_in_their_month_and_until_the_invoice_is_due(tmp_path: Path) -> None:
    [october] = expected_of(Profile("p", kinds=("usage",), currencies=("EUR",), periods=("last",)), NOW)
    for day, state in (
        (datetime(2026, 10, 3, 23, 59, 59, tzinfo=UTC), State.AWAITED),
        (datetime(2026, 10, 4, tzinfo=UTC), State.OVERDUE),
        (datetime(2026, 11, 10, 23, 59, 59, tzinfo=UTC), State.OVERDUE),
        (datetime(2026, 11, 11, tzinfo=UTC), State.NEVER),
    ):
        assert absent_state(october, tmp_path / "2026-10-EUR", day) is state, day


def test_a_month_that_is_over_is_no_longer_there_only_if_its_currency_is_held_in_other_months(tmp_path: Path) -> None:
    [october] = expected_of(Profile("p", kinds=("usage",), currencies=("EUR",), periods=("last",)), NOW)
    day = datetime(2026, 11, 11, tzinfo=UTC)
    for other, state in (("2026-11-USD", State.NEVER), ("2026-11-EUR", State.OVER)):
        (tmp_path / other).mkdir()
        (tmp_path / other / "receipt.json").write_text("{}")
        assert absent_state(october, tmp_path / "2026-10-EUR", day) is state


@pytest.mark.parametrize(("month", "due"), [("2026-12", "2027-01-06"), ("2024-02", "2024-03-06")])
def test_a_month_ends_where_the_next_begins(month: str, due: str) -> None:
    invoices = ListedInvoices((ListedInvoice("G1", BillingPeriod.parse(month)),))
    [expected] = expected_of(Profile("p", kinds=("usage",), invoices=invoices, billed_due_days=5), NOW)
    assert str(expected.due_at) == f"{due} 00:00:00+00:00"


def test_a_month_is_asked_for_by_the_word_it_has_today_and_not_after() -> None:
    [expected] = expected_of(Profile("p", kinds=("usage",), currencies=("EUR",), periods=("current",)), NOW)
    assert expected.ask(NOW).period == "current"
    assert expected.ask(NOW + timedelta(days=30)).period == "last"
    with pytest.raises(UsageError, match="cannot be asked for"):
        expected.ask(NOW + timedelta(days=60))


def test_a_folder_bears_the_month_and_never_the_word() -> None:
    assert folder_of(ask_unbilled(Kind.USAGE, "last", "eur", now=NOW), NOW) == Path("usage/2026-10-EUR")
    assert folder_of(ask_unbilled(Kind.USAGE, "2026-10", "EUR", now=NOW), NOW) == Path("usage/2026-10-EUR")
    assert folder_of(ask_billed(Kind.RECONCILIATION, "g016907411"), NOW) == Path("reconciliation/G016907411")
    assert root_of(Profile("contoso")) == Path("counterfoil-pulls/contoso")
    assert root_of(Profile("contoso", to=Path("/kept"))) == Path("/kept")


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a\\b", "C:", "con", "NUL.txt", "com1", "a.", ".a", "a b", "", "ä"])
def test_no_name_leads_out_of_the_folder_or_is_one_that_windows_keeps_for_itself(name: str) -> None:
    made = folder_name(name)
    assert made.startswith("%")
    assert set(made) <= set("%0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-")


@given(INVOICE_IDS, INVOICE_IDS)
def test_no_two_invoices_share_a_folder(one: str, other: str) -> None:
    assert (folder_name(one) == folder_name(other)) == (one == other)
