"""The catalog's tables as they are today, which is what its versions have made of them (see `schema`)."""

from __future__ import annotations

from typing import Final

from counterfoil.storage import version_2, version_5

TO_SWEEP: Final = version_2.TO_SWEEP
UNFINISHED: Final = version_2.UNFINISHED
UNWRITTEN: Final = version_2.UNWRITTEN

metadata = version_5.metadata

_TABLES: Final = metadata.tables
meta = _TABLES["meta"]
partners = _TABLES["partners"]
clients = _TABLES["clients"]
client_secrets = _TABLES["client_secrets"]
client_credentials = _TABLES["client_credentials"]
assertions = _TABLES["assertions"]
datasets = _TABLES["datasets"]
publications = _TABLES["publications"]
revisions = _TABLES["revisions"]
segments = _TABLES["segments"]
revision_segments = _TABLES["revision_segments"]
files = _TABLES["files"]
operations = _TABLES["operations"]
changes = _TABLES["changes"]
deletions = _TABLES["deletions"]
activity = _TABLES["activity"]
activity_ends = _TABLES["activity_ends"]
