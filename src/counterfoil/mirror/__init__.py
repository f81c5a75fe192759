"""A mirror: what was pulled from a source becomes a revision in a local data folder, and can be served from there."""

from counterfoil.mirror.published_pulls import note_published, was_published
from counterfoil.mirror.pull_publication import lacks_attributes, publish_pull, pulled_inputs

__all__ = ["lacks_attributes", "note_published", "publish_pull", "pulled_inputs", "was_published"]
