"""Putting an older revision in force, or none.

A revision superseded long ago has only its lake left; its wire forms are rendered again, from the same lake by the
same rules, before it is served.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from counterfoil.columns import table_of
from counterfoil.datasets.blob_parts import render_part, renderings_of
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.errors import MissingError
from counterfoil.model import Dataset, Rendering
from counterfoil.storage.catalog_rows import NewFile, NewSegment, Revision, Segment
from counterfoil.storage.store import Publication


def restore(data_folder: DataFolder, revision: Revision) -> None:
    """Put `revision` in force. Restoring the one in force changes nothing; raises LockedError and MovedError."""
    catalog = data_folder.catalog
    with ExitStack() as stack:
        stack.enter_context(data_folder.store.hold([revision.dataset]))
        now_in_force = catalog.in_force(revision.dataset)
        if now_in_force is not None and now_in_force.id == revision.id:
            return
        bare = [segment for segment in catalog.segments(revision.id) if not segment.rendered]
        if bare:
            publication = stack.enter_context(data_folder.store.begin(data_folder.now()))
            made = {segment.id: _render_again(data_folder, revision, segment, publication) for segment in bare}
            publication.seal([_made_again(revision.dataset, segment, made[segment.id]) for segment in bare])
            catalog.record_renderings(publication.id, made)
        expected = now_in_force.id if now_in_force else None
        catalog.set_in_force(revision.dataset, revision.id, expected, data_folder.now())


def withdraw(data_folder: DataFolder, dataset: Dataset) -> Revision:
    """Take a dataset out of force and return what was in force; the revision is kept, and can be restored."""
    with data_folder.store.hold([dataset]):
        revision = data_folder.catalog.in_force(dataset)
        if revision is None:
            raise MissingError(f"Nothing is in force for {dataset}.", remedy="`counterfoil list` shows what is.")
        data_folder.catalog.set_in_force(dataset, None, revision.id, data_folder.now())
        return revision


def _render_again(
    data_folder: DataFolder, revision: Revision, segment: Segment, publication: Publication
) -> list[NewFile]:
    table, made = table_of(revision.dataset.kind), []
    for file in data_folder.catalog.files(revision.id, Rendering.LAKE):
        if file.segment_id == segment.id:
            create = partial(publication.create, revision.dataset, segment.name, number=segment.id, part=file.part)
            lake, renderings = data_folder.store.files.open(file.path), renderings_of(revision.dataset.scope)
            made += render_part(create, table, lake, file.part, renderings)
    return made


def _made_again(dataset: Dataset, segment: Segment, files: list[NewFile]) -> NewSegment:
    contents, warnings = segment.contents, segment.warnings
    return NewSegment(dataset, segment.name, segment.issuer, contents, tuple(files), warnings, segment.publication)
