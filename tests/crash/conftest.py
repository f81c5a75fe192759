"""Plans and processes, as the long crash tests have them."""

from tests.chaos.fixtures import plans, worker, workers

__all__ = ["plans", "worker", "workers"]
