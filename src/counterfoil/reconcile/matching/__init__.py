"""Matching: which line items of two sides belong together, from the identical ones to those on one side only.

    with opened_side("etag:e49c47ee") as left, opened_side("etag:9bdc4ace") as right:
        matching = match(left, right, Kind.USAGE, scratch=folder)
        for matched in matching:                # identical pairs are counted, never yielded
            matched.stage, matched.left, matched.right
        matching.counts[Stage.IDENTICAL], matching.line_items

Each side is a multiset: copies count. The groups are the same whatever the order of the lines, the size of the batches
and which side is left. The trap: all of it holds after the last group only, counts and what `other_side_has` knows.
"""

from counterfoil.reconcile.matching.matched_lines import Line, MatchedLines, Stage
from counterfoil.reconcile.matching.matcher import Matching, match

__all__ = ["Line", "MatchedLines", "Matching", "Stage", "match"]
