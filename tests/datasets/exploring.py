"""How many examples the property tests try: few and always the same ones, or many new ones with EXPLORE=20000."""

import os

from hypothesis import HealthCheck, settings

_MANY = int(os.environ.get("EXPLORE", "0"))


def examples(few: int, *, new: bool = False) -> settings:
    """Settings for a property test: the same examples in every run, unless they are to be `new` ones."""
    return settings(
        max_examples=_MANY or few,
        derandomize=not (_MANY or new),
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
