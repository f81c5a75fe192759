"""A mapping says what a ledger tells; it is refused with the nearest word, and drafted by names and values."""

from __future__ import annotations

import json
import sqlite3
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil.errors import CounterfoilError, UsageError
from counterfoil.model import Kind
from counterfoil.reconcile import check_ledger, suggest_mapping
from counterfoil.reconcile.sides.ledgers.ledger_mapping import read_mapping
from counterfoil.reconcile.sides.opening import opened_side
from tests.cli.pulling import run
from tests.reconcile.ledgers import COLUMNS, HEADER, ROWS, ledger_csv, mapping_file, workbook

CURRENCY = '[source]\ncurrency = "EUR"\n'
AMOUNT = '[columns]\nCustomerId = "K"\nSubtotal = "B"\n'
WRONG: list[tuple[str, str]] = [
    ("[sources]\n", "there is no section 'sources'. Did you mean 'source'?"),
    ('[source]\ndecimals = ","\n', "[source]: there is no key 'decimals'. Did you mean 'decimal'?"),
    ('[columns]\nCustomrId = "K"\n', "there is no attribute 'CustomrId'. Did you mean 'CustomerId'?"),
    ('[sale]\npreis = "V"\n', "[sale]: there is no key 'preis'. Did you mean 'price'?"),
    ("[source\n", "is no mapping, for it is not TOML"),
    ('source = "x"\n', "[source] must be a section of its own"),
    ("[source]\ndecimal = 1\n", "decimal must be a text in quotes"),
    ('[source]\ndecimal = ";"\n', 'decimal is \';\', and must be "." or ","'),
    ('[source]\ndecimal = ","\nthousands = ","\n', "decimal and thousands are the same sign"),
    ('[source]\nthousands = "12"\n', "thousands is '12', and must be one sign"),
    ('[source]\ndate = "dd.mm.yyyy"\n', "date is 'dd.mm.yyyy', and must be one of dmy, mdy, ymd"),
    ('[source]\ntotals = "keep"\n', "totals is 'keep', and can only be \"skip\""),
    ('[source]\ncurrency = "Euro"\n', "currency is 'Euro', and must be a code"),
    ('[source]\nencoding = "ansi-9"\n', "there is no encoding 'ansi-9'"),
    ('[source]\nsql = "SELECT 1"\n', "sql needs url_env"),
    ('[source]\nsql = "SELECT 1"\nurl_env = "postgresql://me:secret@host/x"\n', "url_env holds an address"),
    ('[source]\nsql = "SELECT 1"\nfile = "x"\n', "a ledger is a file or a query (sql), not both"),
    ('[source]\nurl_env = "X"\n', "url_env is for a database, and there is no sql"),
    (CURRENCY + '[columns]\nSubtotal = "B"\n', "no column tells whose a line is"),
    (CURRENCY + '[columns]\nCustomerId = "K"\n', "no column is the amount"),
    (AMOUNT, "nothing says in which currency the amounts are"),
    (CURRENCY + AMOUNT + 'Total = "b"\n', "Subtotal and Total are both the column 'b'"),
    (CURRENCY + AMOUNT + 'customerid = "Z"\n', "CustomerId is given twice"),
    (CURRENCY + AMOUNT + 'Debit = "D"\nCredit = "C"\n', "both Subtotal and Debit are the amount"),
    (CURRENCY + '[columns]\nCustomerId = "K"\nDebit = "D"\n', "Debit is mapped and Credit is not"),
    (CURRENCY + AMOUNT + '[sale]\nprice = "V"\n', "the sale price is for one"),
    (CURRENCY + AMOUNT + '[values.ChargeType]\na = "b"\n', "translates the values of a column that is not mapped"),
    ("\ufeff\x00", "is no mapping"),
]


@pytest.mark.parametrize(("text", "told"), WRONG, ids=[str(at) for at in range(len(WRONG))])
def test_a_mapping_that_cannot_be_right_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "m.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        read_mapping(tmp_path / "m.toml")
    assert told in str(raised.value)
    assert "secret" not in str(raised.value)


def test_one_ledger_in_every_form_is_one_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [
        ("c1", "s1", "p1", 24, 528.0, Decimal("600.00"), date(2026, 10, 1)),
        ("c2", "s2", "p2", 3, 0.1 + 0.2, None, datetime(2026, 10, 2, 12, 30)),  # noqa: DTZ001 - as a database has it
    ]
    header = (*HEADER, "Tag")
    texts = [("c1", "s1", "p1", "24", "528", "600.00", "1.10.2026"), ("c2", "s2", "p2", "3", "0.3", "", "02/10/2026")]
    ledger_csv(tmp_path / "csv", texts, header)
    (tmp_path / "utf16").write_text((tmp_path / "csv").read_text(), encoding="utf-16")
    workbook(tmp_path / "xlsx", {"Bericht": [("Oktober",), (), header, *typed]})
    columns = {name: pa.array([row[at] for row in typed]) for at, name in enumerate(header[:-1])}
    pq.write_table(pa.table(columns | {"Tag": pa.array(["2026-10-01", "2026-10-02"])}), tmp_path / "parquet")
    with sqlite3.connect(tmp_path / "books.db") as books:
        books.execute("CREATE TABLE l (Kunde, Abo, Artikel, Menge INT, Betrag REAL, VK TEXT, Tag TEXT)")
        books.executemany(
            "INSERT INTO l VALUES (?,?,?,?,?,?,?)",
            [(*row[:5], text[5], text[6]) for row, text in zip(typed, texts, strict=True)],
        )
    books.close()
    monkeypatch.setenv("BOOKS", f"sqlite:///{tmp_path / 'books.db'}")
    told = COLUMNS | {"ChargeStartDate": "Tag"}
    by_file = mapping_file(tmp_path / "m.toml", {"date": "dmy"}, told, sale="VK")
    query = mapping_file(
        tmp_path / "q.toml", {"date": "dmy", "sql": "SELECT * FROM l", "url_env": "BOOKS"}, told, sale="VK"
    )
    names = ["CustomerId", "Subtotal", "Quantity", "TaxTotal", "SaleAmount", "ChargeStartDate"]
    expected = [
        ["c1", "528", "24", None, "600.00", "2026-10-01"],
        ["c2", "0.3", "3", None, None, "2026-10-02"],
    ]
    for name, mapping in [*((form, by_file) for form in ("csv", "utf16", "xlsx", "parquet")), ("ledger:q.toml", None)]:
        monkeypatch.chdir(tmp_path)
        with opened_side(name, mapping=mapping) as reading:
            [batch] = reading.batches(names)
            rows = [list(row.values())[: len(names)] for row in batch.to_pylist()]
        rows = [[*row[:4], row[4] and format(Decimal(row[4]), ".2f"), (row[5] or "")[:10]] for row in rows]
        assert rows == expected, name
    assert query.is_file()


def test_net_tax_and_total_follow_from_one_another_exactly(tmp_path: Path) -> None:
    header = ("Kunde", "Netto", "Steuer", "Brutto")
    told = {"CustomerId": "Kunde", "Subtotal": "Netto", "TaxTotal": "Steuer", "Total": "Brutto"}
    ledger_csv(tmp_path / "l", [("c", "10.01", "1.902", "11.912"), ("c", "-2.00", "-0.38", "-2.38")], header)
    full = ["10.01", "1.902", "11.912"], ["-2.00", "-0.38", "-2.38"]
    for left_out in ("Subtotal", "TaxTotal", "Total"):
        mapping = mapping_file(
            tmp_path / "m.toml", {"decimal": "."}, {name: told[name] for name in told if name != left_out}
        )
        with opened_side(str(tmp_path / "l"), mapping=mapping) as reading:
            rows = [row for batch in reading.batches(["Subtotal", "TaxTotal", "Total"]) for row in batch.to_pylist()]
        for row, expected in zip(rows, full, strict=True):
            got = [Decimal(row[name]) for name in ("Subtotal", "TaxTotal", "Total")]
            assert got == [Decimal(text) for text in expected]


def test_usage_is_told_under_its_own_names_and_values_are_translated(tmp_path: Path) -> None:
    ledger_csv(tmp_path / "l", ROWS)
    mapping = mapping_file(tmp_path / "m.toml", {}, COLUMNS, more='[values.CustomerId]\nC1 = "contoso"\n')
    with opened_side(str(tmp_path / "l"), mapping=mapping, kind=Kind.USAGE) as reading:
        [batch] = reading.batches(["CustomerId", "BillingPreTaxTotal", "BillingCurrency"])
    assert [list(row.values())[:3] for row in batch.to_pylist()] == [
        ["contoso", "528.00", "EUR"],
        ["c2", "24.10", "EUR"],
    ]


def test_totals_that_add_up_are_left_out_and_named(tmp_path: Path) -> None:
    rows = [
        ROWS[0],
        ("c1 Total", "", "", "24", "528.00", "600"),
        ROWS[1],
        ("", "", "", "", "24.10", ""),
        ("", "Summe:", "", "", "552.10", ""),
    ]
    ledger_csv(tmp_path / "l", rows)
    found = check_ledger(mapping_file(tmp_path / "m.toml", {"totals": "skip"}), tmp_path / "l")
    assert (found.lines, format(found.sums["EUR"]["Subtotal"], "f")) == (2, "552.10")
    assert found.notes == ("3 rows of totals were left out (row 3, 5, 6); the rows above add up to them.",)


GUID = "0e195b37-4574-4539-bc42-0e539b9684c0"
OTHER = "7d1f2a33-91d2-4c0e-8a55-0e6a5a1c1111"
# Header, one row or more, what the mapping must say, and what must be asked or looked at.
DRAFTS: list[tuple[str, list[str], dict[str, str], str]] = [
    (
        "Kunde;Mandanten-ID;Abonnement-ID;Artikelbezeichnung;Menge;Einzelpreis;Nettobetrag;MwSt.;Bruttobetrag;W\u00e4hrung",
        [f"M\u00fcller;{GUID};{OTHER};E3;24;22,00;1.528,00;100,32;628,32;EUR"],
        {
            "CustomerName": "Kunde",
            "CustomerId": "Mandanten-ID",
            "SubscriptionId": "Abonnement-ID",
            "ProductName": "Artikelbezeichnung",
            "Quantity": "Menge",
            "EffectiveUnitPrice": "Einzelpreis",
            "Subtotal": "Nettobetrag",
            "TaxTotal": "MwSt.",
            "Total": "Bruttobetrag",
            "Currency": "W\u00e4hrung",
            "decimal": ",",
        },
        "",
    ),
    (
        "Customer ID,Customer Name,SKU,Qty,Amount,Currency,Start Date",
        [f"{GUID},Contoso,0001,2,10.50,USD,10/25/2026"],
        {
            "CustomerId": "Customer ID",
            "CustomerName": "Customer Name",
            "SkuId": "SKU",
            "Quantity": "Qty",
            "Subtotal": "Amount",
            "ChargeStartDate": "Start Date",
            "date": "mdy",
        },
        "",
    ),
    (
        "Client;Abonnement;Quantit\u00e9;Montant HT;TVA;Devise",
        [f"Contoso;{GUID};1;1 234,50;2,00;EUR"],
        {
            "CustomerName": "Client",
            "SubscriptionId": "Abonnement",
            "Subtotal": "Montant HT",
            "TaxTotal": "TVA",
            "decimal": ",",
        },
        "",
    ),
    (
        "Cliente,Cantidad,Importe,Moneda,Fecha",
        ["Contoso,1,10.00,EUR,03/04/2026"],
        {"Subtotal": "Importe"},
        "whether dates have the day first",
    ),
    ("Firma\tBetrag", ["Contoso\t1.234"], {"CustomerName": "Firma"}, "which sign is before the decimals"),
    ("Firma|Betrag", ["Contoso|12.50"], {"CustomerName": "Firma"}, "the currency of the amounts"),
    ("Firma;Betrag", ["Contoso;12,50 \u20ac"], {"currency": "EUR"}, 'currency = "EUR": from the amounts'),
    (
        "X;Y;Betrag;W",
        [f"{GUID};{GUID};5;EUR", f"{GUID};{OTHER};5;EUR"],
        {"CustomerId": "X", "SubscriptionId": "Y", "Currency": "W"},
        "its values are GUIDs",
    ),
    (
        "Kundennummer;Betrag;Waehrung",
        ["10023;5;EUR"],
        {"CustomerId": "Kundennummer"},
        "translate them under [values.CustomerId]",
    ),
    ("Konto;Kunde;Soll;Haben;Waehrung", ["4711;Contoso;5;;EUR"], {"Debit": "Soll", "Credit": "Haben"}, ""),
    ("Kunde;Umsatz;Kosten;Waehrung", ["Contoso;9;5;EUR"], {"Subtotal": "Kosten", "amount": "Umsatz"}, ""),
    ("Kunde;Brutto;Waehrung", ["Contoso;9;EUR"], {"Total": "Brutto"}, "call it Subtotal if it is before tax"),
    ("A;B", ["x;y"], {}, "which column is the amount before tax"),
]


@pytest.mark.parametrize(("header", "rows", "told", "asked"), DRAFTS, ids=[str(at) for at in range(len(DRAFTS))])
def test_a_draft_goes_by_names_and_values_and_says_what_is_open(
    tmp_path: Path, header: str, rows: list[str], told: dict[str, str], asked: str
) -> None:
    path = tmp_path / "l"
    path.write_text("\n".join(["Export of the books", "", header, *rows]), encoding="utf-8")
    draft = suggest_mapping(path)
    lines = {line.key: json.loads(line.value) for line in (*draft.source, *draft.columns, *draft.sale)}
    assert lines | told == lines
    if asked:
        assert asked in "\n".join((*draft.open_questions, *draft.to_be_looked_at))
    else:
        assert (draft.open_questions, draft.to_be_looked_at) == ([], [])
    if not draft.open_questions:
        (tmp_path / "m.toml").write_text(draft.to_toml(), encoding="utf-8")
        assert check_ledger(tmp_path / "m.toml").lines == len(rows)


def test_the_commands_draft_check_and_keep_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workbook(
        tmp_path / "books.xlsx",
        {"Notes": [("x",)], "Oct": [("Customer", "Amount", "Currency"), ("Contoso", 12.5, "EUR")]},
    )
    done = run("mapping", "suggest", "books.xlsx")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "has 2 sheets: 'Notes', 'Oct'" in done.stderr
    assert "--sheet" in done.stderr
    assert run("mapping", "suggest", "books.xlsx", "--sheet", "oct", "-o", "m.toml").exit_code == 0
    checked = run("mapping", "check", "m.toml", "--output", "json")
    assert json.loads(checked.stdout) == {
        "ledger": "books.xlsx, sheet 'Oct'",
        "lines": 1,
        "customers": 1,
        "matchedBy": ["CustomerName"],
        "firstDay": "",
        "lastDay": "",
        "totals": {"EUR": {"Subtotal": "12.5"}},
        "notes": [],
    }
    summed = json.loads(run("totals", "ledger:m.toml", "--by", "customer", "--output", "json").stdout)
    assert summed["totals"] == {"Subtotal": "12.50", "Total": "12.50"}
    before = (tmp_path / "m.toml").read_bytes()
    assert run("mapping", "suggest", "books.xlsx", "--sheet", "oct", "-o", "m.toml").exit_code == 2
    assert (tmp_path / "m.toml").read_bytes() == before


def test_a_database_is_named_by_its_variable_and_its_address_is_never_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = mapping_file(tmp_path / "q.toml", {"sql": "SELECT * FROM none", "url_env": "BOOKS"})
    for address, told in (
        ("", "the environment has no BOOKS"),
        ("secret", "is none that SQLAlchemy knows"),
        ("nonesuch://me:secret@host/x", "is none that SQLAlchemy knows"),
        ("sqlite://", "the database refused the query: no such table: none"),
        (f"sqlite:///{tmp_path}/secret.db", "there is no database at the address"),
        ("mysql+pymysql://me:secret@127.0.0.1:1/x", "driver 'pymysql' of the database is not installed"),
    ):
        monkeypatch.setenv("BOOKS", address)
        with pytest.raises(CounterfoilError, match=r"BOOKS|database") as raised:
            check_ledger(mapping)
        assert told in str(raised.value)
        assert "secret" not in str(raised.value).replace(str(tmp_path), "")


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE l",
        "/* SELECT */ DELETE FROM l",
        "-- SELECT\nCREATE TABLE other (a)",
        "WITH x AS (SELECT 1) DELETE FROM l",
        "INSERT INTO l VALUES (1) RETURNING *",
        "REPLACE INTO l VALUES (1)",
        "SELECT * FROM l; DROP TABLE l",
        "SELECT '; DROP TABLE l",
        "VACUUM INTO 'other.db'",
        "ATTACH 'other.db' AS other",
        "PRAGMA user_version = 7",
        "",
    ],
)
def test_a_query_that_writes_is_refused_and_the_database_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "books.db"
    with sqlite3.connect(path) as books:
        books.execute("CREATE TABLE l (Kunde)")
        books.execute("INSERT INTO l VALUES ('c1')")
    books.close()
    before = path.read_bytes()
    monkeypatch.setenv("BOOKS", f"sqlite:///{path}")
    mapping = mapping_file(tmp_path / "q.toml", {"sql": query or " ", "url_env": "BOOKS"})
    with pytest.raises(CounterfoilError) as raised:
        check_ledger(mapping)
    assert raised.value.remedy
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"books.db", "q.toml"}
