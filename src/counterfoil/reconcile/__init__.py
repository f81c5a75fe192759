"""Comparing two views of one bill, and giving every cent of their difference a named cause.

This room stands on the ground and `wire` alone, so that `pip install counterfoil` answers for pulls and files. What is
published reaches it through the command line, never by an import.
"""
