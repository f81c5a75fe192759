"""The error tree: each error is whole in another process too."""

from __future__ import annotations

import pickle

import pytest

from counterfoil.cli.output import as_option
from counterfoil.errors import (
    CounterfoilError,
    InputError,
    MethodNotAllowedError,
    OperationFailedError,
    RefusedError,
    UnavailableError,
    UsageError,
)


@pytest.mark.parametrize(
    "error",
    [
        UsageError("It cannot be.", remedy="Do otherwise."),
        InputError("not a number", file="a.csv", line=3, attribute="Total", value="x", remedy="Mend it."),
        RefusedError("No.", status=403, code="denied", request_ids="a, b", remedy="Ask."),
        OperationFailedError("It failed.", code="5000"),
        MethodNotAllowedError("Not so.", allow="GET"),
        UnavailableError("Not now.", retry_after_s=7),
    ],
)
def test_an_error_travels_between_processes_whole(error: CounterfoilError) -> None:
    error.exit_code = 4
    other = pickle.loads(pickle.dumps(error))
    assert (type(other), vars(other), str(other), other.args) == (type(error), vars(error), str(error), error.args)


def test_a_remedy_names_its_parameters_as_each_shell_spells_them() -> None:
    error = UsageError("This folder is taken.", remedy="Name another folder.", parameter="to")
    assert str(error) == "This folder is taken. Name another folder (`to`)."
    assert error.advice(as_option) == "Name another folder (--to)."
    both = UsageError("No.", remedy="Ask for everything.", parameter="api=graph attribute_set=full")
    assert str(both) == 'No. Ask for everything (api="graph", attribute_set="full").'
    assert both.advice(as_option) == "Ask for everything (--api graph, --attribute-set full)."


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            InputError("'me' is not a tenant id.", file="a"),
            "a: 'me' is not a tenant id.",
        ),
        (InputError("'EURO' is not a currency.", line=2, value="EURO"), "line 2: 'EURO' is not a currency ('EURO')."),
        (UsageError("The key cannot be used: it ended.."), "The key cannot be used: it ended."),
        (UsageError("It said 'No.'.. It was asked"), "It said 'No.'. It was asked"),
        (UsageError("Give ../usage.csv, or wait ... then go on..."), "Give ../usage.csv, or wait ... then go on..."),
        (UsageError("All of .. is read"), "All of .. is read"),
    ],
)
def test_a_sentence_that_quotes_another_ends_with_one_full_stop(error: CounterfoilError, text: str) -> None:
    assert error.message == text
    assert not error.remedy.endswith("..")
