"""The error tree: each error is whole in another process too."""

from __future__ import annotations

import pickle

import pytest

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
