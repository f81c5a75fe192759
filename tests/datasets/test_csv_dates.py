"""A CSV date is what it says or it is refused: formatted dates are read back, and corrupted ones are never guessed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from counterfoil.datasets.csv_values import LocalForms
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.input_formats import recognise
from counterfoil.datasets.source import Source
from counterfoil.errors import InputError
from counterfoil.line_items.values import Refused
from tests.datasets.line_items import PARTNER, UNBILLED, batch_rows, publish_bytes

Order = Literal["mdy", "dmy"]
HEADER = b"PartnerId,UsageDate,ChargeStartDate,BillingPreTaxTotal,BillingCurrency\n"


def read(path: Path, texts: list[str], order: Order) -> dict[int, str | None]:
    """What is stored of each date, by its place; those that are refused are missing."""
    lines = "".join(f'{PARTNER},2026-11-01,"{text}",1,EUR\n' for text in texts)
    path.write_bytes(HEADER + lines.encode())
    found: dict[int, str | None] = {}

    def refused(line: int, why: Refused) -> None:
        assert why.attribute == "ChargeStartDate"

    with Source(str(path)) as source:
        for batch in recognise(source).batches(refused, LocalForms(order)):
            for line, row in zip(batch.lines.tolist(), batch_rows(batch), strict=True):
                found[line - 2] = row.get("ChargeStartDate")
    return found


def formatted(chance: random.Random, moment: datetime, order: Order) -> tuple[str, str]:
    """A date in one of the forms that are read, and what has to be stored of it."""
    mark, padded = chance.choice("/.-"), chance.choice(("", "0"))
    first, second = (moment.month, moment.day) if order == "mdy" else (moment.day, moment.month)
    text = f"{first:{padded and '02'}}{mark}{second:{padded and '02'}}{mark}{moment.year:04}"
    form = chance.randrange(4)
    if form == 0:
        return text, moment.strftime("%Y-%m-%dT00:00:00Z")
    seconds = chance.random() < 0.7
    iso = moment.strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else moment.strftime("%Y-%m-%dT%H:%M:00Z")
    clock = moment.strftime(":%M:%S" if seconds else ":%M")
    if form == 1:
        return f"{text}{chance.choice(' T')}{moment.hour:02}{clock}", iso
    half = moment.strftime("%p") if chance.random() < 0.5 else moment.strftime("%p").lower()
    return f"{text} {moment.hour % 12 or 12}{clock}{chance.choice(('', ' '))}{half}", iso


def moments(chance: random.Random, count: int) -> list[datetime]:
    begin = datetime(2000, 1, 1, tzinfo=UTC)
    return [begin + timedelta(seconds=chance.randrange(30 * 365 * 86_400)) for _ in range(count)]


@pytest.mark.parametrize("order", ["mdy", "dmy"])
def test_every_form_of_a_date_is_read_back(order: Order, tmp_path: Path) -> None:
    chance = random.Random(order)
    pairs = [formatted(chance, moment, order) for moment in moments(chance, 2_000)]
    assert read(tmp_path / "a.csv", [text for text, _ in pairs], order) == dict(enumerate(iso for _, iso in pairs))


@pytest.mark.parametrize("order", ["mdy", "dmy"])
def test_a_corrupted_date_is_refused_unless_it_is_another_date(order: Order, tmp_path: Path) -> None:
    """What is still read must be what the text says, by a reading of its own: the standard library's strptime."""
    chance = random.Random(f"{order} corrupted")
    texts = []
    for moment in moments(chance, 4_000):
        text, _ = formatted(chance, moment, order)
        for _ in range(chance.choice((1, 1, 2))):
            at = chance.randrange(len(text))
            text = text[:at] + chance.choice(("", *"0123456789/.-: APMapmTZ+")) + text[at + chance.randrange(2) :]
        texts.append(text.replace('"', ""))
    stored = read(tmp_path / "a.csv", texts, order)
    for place, iso in stored.items():
        assert iso is None or iso in meanings(texts[place].strip(), order), (texts[place], iso)
    assert 100 < len(stored) < len(texts) - 1_000


def meanings(text: str, order: Order) -> set[str]:
    """Every ISO date that a text can be."""
    day = "%m{0}%d{0}%Y" if order == "mdy" else "%d{0}%m{0}%Y"
    clocks = ["", *(f"{gap}%H:%M{more}" for gap in " T" for more in ("", ":%S"))]
    clocks += [f"{gap}%I:%M{more}{space}%p" for gap in " T" for more in ("", ":%S") for space in ("", " ")]
    found = set[str]()
    for form in [day.format(mark) + clock for mark in "/.-" for clock in clocks] + ["%Y-%m-%d"]:
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007 - it is UTC, like all dates of a CSV
        except ValueError:
            continue
        found.add(text if form == "%Y-%m-%d" else moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return found


@pytest.mark.parametrize(
    "text",
    [
        "11/20/2026 13:05:00 AM",
        "11/20/2026 13:05 PM",
        "11/20/2026 0:05:00 AM",
        "11/20/2026 00:05 PM",
        "11/20/2026 24:00:00",
        "11/20/2026 12:60",
        "11/20/2026 12:05:60",
        "11/20-2026",
        "11.20/2026",
        "20/11/2026",
        "02/29/2025",
        "11/20/26",
        "11/20/2026 12",
        "11/20/2026 1:5",
        "11/20/2026 AM",
        "46346",
        "11/20/0026",
    ],
)
def test_a_date_that_cannot_be_right_is_refused(text: str, data_folder: DataFolder, tmp_path: Path) -> None:
    content = HEADER + f"{PARTNER},2026-11-01,{text},1,EUR\n".encode()
    with pytest.raises(InputError) as caught:
        publish_bytes(data_folder, tmp_path / "a.csv", content, UNBILLED, date_order="mdy")
    assert (caught.value.line, caught.value.attribute, caught.value.value) == (2, "ChargeStartDate", text)
