"""Every test here runs under a context in which an operator on Decimals that rounds, or meets a float, raises."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, FloatOperation, Inexact, InvalidOperation, Rounded, localcontext

import pytest


@pytest.fixture(autouse=True)
def hostile_context() -> Iterator[None]:
    with localcontext(Context(prec=1, traps=[Inexact, Rounded, FloatOperation, InvalidOperation])):
        yield
