"""Comparing two sides: what differs, why, whose it is, and what stands in the way of an answer.

`compare.py` joins what the rooms below give: sides are surveyed, held against each other, matched and explained, and
every difference is written to files as it is found. `comparison.py` is what comes of it.
"""
