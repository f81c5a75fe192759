"""Benchmarks: each row of design goals measured against a peer, in the same run, on the same core."""
