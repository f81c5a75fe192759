"""How many examples the property tests try: few and always the same ones, or many new ones with EXPLORE=20000."""

import os

from hypothesis import HealthCheck, settings

_MANY = int(os.environ.get("EXPLORE", "0"))


def examples(few: int) -> settings:
    """Settings for a property test."""
    return settings(
        max_examples=_MANY or few,
        derandomize=not _MANY,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
