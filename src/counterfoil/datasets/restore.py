"""Putting an older revision in force, or none.

A revision superseded long ago has only its lake left; its wire forms are rendered again, from the same lake by the
same rules, before it is served.
"""

from __future__ import annotations

from contextlib import ExitStack

from counterfoil.columns import table_of
from counterfoil.datasets.publish import Workshop
from counterfoil.datasets.seal import render_part, rendered_name, renderings_of
from counterfoil.errors import MissingError
from counterfoil.model import Dataset, Rendering
from counterfoil.storage.files import Publication
from counterfoil.storage.records import NewFile, Revision, Segment


def restore(workshop: Workshop, revision: Revision) -> None:
    """Put `revision` in force. Restoring the one in force changes nothing; raises LockedError and MovedError."""
    catalog = workshop.catalog
    with ExitStack() as stack:
        stack.enter_context(workshop.locks.hold([revision.dataset]))
        now_in_force = catalog.in_force(revision.dataset)
        if now_in_force is not None and now_in_force.id == revision.id:
            return
        bare = [segment for segment in catalog.segments(revision.id) if not segment.rendered]
        if bare:
            publication = workshop.files.begin()
            stack.callback(workshop.files.clean, publication.id, catalog.paths_in)
            stack.enter_context(publication)
            made = [(segment, _render_again(workshop, revision, segment, publication)) for segment in bare]
            publication.seal()
            for segment, files in made:
                catalog.record_renderings(segment.id, files)
        expected = now_in_force.id if now_in_force else None
        catalog.set_in_force(revision.dataset, revision.id, expected, workshop.now())


def withdraw(workshop: Workshop, dataset: Dataset) -> Revision:
    """Take a dataset out of force and return what was in force; the revision is kept, and can be restored."""
    with workshop.locks.hold([dataset]):
        revision = workshop.catalog.in_force(dataset)
        if revision is None:
            raise MissingError(f"Nothing is in force for {dataset}.", remedy="`counterfoil list` shows what is.")
        workshop.catalog.set_in_force(dataset, None, revision.id, workshop.now())
        return revision


def _render_again(workshop: Workshop, revision: Revision, segment: Segment, publication: Publication) -> list[NewFile]:
    table, made = table_of(revision.dataset.kind), []
    for file in workshop.catalog.files(revision.id, Rendering.LAKE):
        if file.segment_id == segment.id:
            names = {
                rendering: rendered_name(f"s{segment.id}", file.part, rendering)
                for rendering in renderings_of(revision.dataset.scope)
            }
            made += render_part(publication, table, workshop.files.path(file.path), file.part, names)
    return made
