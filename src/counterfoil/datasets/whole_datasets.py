"""What a dataset will hold once new segments are put in place of those in force, and what becomes of the others.

The digest of a set does not add up, so the digests of the segments that stay are read again from the lake. While that
is done, they are compared with the new ones: the same line items in two segments would count twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from counterfoil.datasets import digest
from counterfoil.datasets.copies import Compared, Overlap
from counterfoil.datasets.gathering import GatheredSegment
from counterfoil.datasets.safeguards import Safeguards
from counterfoil.errors import InputError, UsageError
from counterfoil.line_items.line_digests import LineDigests
from counterfoil.model import WHOLE, Contents, Rendering
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import Revision, Segment
from counterfoil.storage.files import Files
from counterfoil.storage.store import Publication


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a dataset will hold, and held before; `replaces`: some of what it held is taken out."""

    before: Contents | None
    contents: Contents
    replaces: bool


def foreseen(
    catalog: Catalog,
    files: Files,
    publication: Publication,
    base: Revision | None,
    new: Mapping[str, GatheredSegment],
    safeguards: Safeguards,
) -> Foreseen:
    """Return what a dataset holds with new segments, by name, in place of those of its base.

    Notes in the new segments what they repeat; raises InputError where that is half of a segment, and UsageError for a
    named segment of a dataset that is in force as a whole.
    """
    dataset = next(iter(new.values())).dataset
    held = catalog.segments(base.id) if base is not None else []
    kept = [segment for segment in held if segment.name not in new and WHOLE not in new]
    if any(segment.name == WHOLE for segment in kept):
        raise UsageError(
            f"{dataset} is in force as a whole, so a named segment cannot be added to it.",
            remedy="Publish it as a whole again, or withdraw it first.",
        )
    before = base.contents if base is not None else None
    parts = [*(segment.contents for segment in kept), *(segment.contents for segment in new.values())]
    if len(parts) == 1:
        return Foreseen(before, parts[0], replaces=bool(held))
    stored = catalog.files(base.id, Rendering.LAKE) if base is not None else []
    with LineDigests(publication.scratch, sort=digest.in_order) as digests:
        comparison = _Comparison(new, safeguards)
        for segment in kept:
            lake_files = [file for file in stored if file.segment_id == segment.id]
            comparison.with_kept(segment, _adding(digests, digest.stored_digests(files, lake_files, dataset.kind)))
        for gathered in new.values():
            for _ in _adding(digests, gathered.intake.digests.sorted()):
                pass
        return Foreseen(before, Contents.together(parts, digests.hexdigest()), replaces=len(kept) < len(held))


class _Comparison:
    """Compares new segments with one another, and with those that stay."""

    def __init__(self, new: Mapping[str, GatheredSegment], safeguards: Safeguards) -> None:
        self._new = list(new.values())
        self._are_refused = not safeguards.allow_copies
        self._compared = [Compared.of(segment.intake.digests.sorted()) for segment in self._new]
        for segment in self._new:
            segment.repeated.clear()
        for place, segment in enumerate(self._new):
            for number, other in enumerate(self._new[:place]):
                overlap = self._compared[number].overlap(segment.intake.digests.sorted())
                self._note(segment, other.name, overlap)

    def with_kept(self, kept: Segment, digests: Iterator[pa.FixedSizeBinaryArray]) -> None:
        """Compare a segment that stays, and read its digests to their end."""
        overlaps = [Overlap(0, len(compared), 0) for compared in self._compared]
        for some in digests:
            for number, compared in enumerate(self._compared):
                overlaps[number] += compared.overlap([some])
        for segment, overlap in zip(self._new, overlaps, strict=True):
            self._note(segment, kept.name, overlap)

    def _note(self, segment: GatheredSegment, other: str, overlap: Overlap) -> None:
        if not overlap.shared:
            return
        if overlap.is_repetition and self._are_refused:
            raise InputError(
                f"segment {segment.name} repeats line items of segment {other} of {segment.dataset} "
                f"({overlap.shared:,} of them), and they would count twice",
                file=segment.files[0],
                remedy="Publish files that hold the month so far without a segment, so that each replaces the last. "
                "If these are different charges that look alike, allow it.",
                parameter="allow_copies",
            )
        segment.repeated[other] = overlap.shared


def _adding(digests: LineDigests, some_digests: Iterable[pa.FixedSizeBinaryArray]) -> Iterator[pa.FixedSizeBinaryArray]:
    for some in some_digests:
        digests.add(some)
        yield some
