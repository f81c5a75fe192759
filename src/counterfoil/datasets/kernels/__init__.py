"""Inner loops over bytes, compiled by numba. Only those about to use one import it: see `compiled`."""
