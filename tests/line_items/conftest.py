"""A data folder to publish into, for each test its own."""

from tests.datasets.conftest import data, workshop

__all__ = ["data", "workshop"]
