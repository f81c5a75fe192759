"""A data folder to publish into, for each test its own."""

from tests.datasets.conftest import data, data_folder

__all__ = ["data", "data_folder"]
