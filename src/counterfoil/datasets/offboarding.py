"""Erasing a partner: nothing is published for it meanwhile, and a run that was killed is finished by the next."""

from __future__ import annotations

from counterfoil.datasets.data_folder import DataFolder
from counterfoil.errors import MissingError
from counterfoil.model import tenant_id
from counterfoil.storage import erasure
from counterfoil.storage.erasure import Erased
from counterfoil.storage.files import Deleted


def erase_partner(data_folder: DataFolder, tenant: str) -> tuple[Erased, Deleted]:
    """Erase a partner and all its data for good; returns what was erased, and how many files.

    Exports and walks that have begun end. Raises MissingError where there is nothing of it, and LockedError while
    something is published for it. Backups are not looked at.
    """
    store, catalog, tenant = data_folder.store, data_folder.catalog, tenant_id(tenant)
    found = catalog.held_of_partner(tenant)
    if not (found.datasets or found.is_registered or erasure.paths_of(store.files, tenant)):
        raise MissingError(f"There is nothing of {tenant} here.", remedy="See: counterfoil partners list")
    with store.hold(found.datasets):
        held = catalog.held_of_partner(tenant)
        catalog.withdraw_all(tenant, data_folder.now())
        data_folder.at_point("withdrawn")
        erasure.leave_out(store.files, held, tenant)
        data_folder.at_point("left out")
        erased = catalog.forget_partner(tenant)
        data_folder.at_point("forgotten")
        deleted = store.delete_forgotten()
        deleted += store.files.delete(erasure.paths_of(store.files, tenant))
    return erased, deleted
