"""`counterfoil warm-up`: compile beforehand what the first publication would compile."""

from __future__ import annotations

import time

import click

from counterfoil.cli.options import with_output
from counterfoil.cli.output import Headed, Output


@click.command("warm-up")
@with_output
def warm_up(*, output: Output) -> None:
    """Compile the inner loops of publishing, which the first publication on a machine would do otherwise.

    It takes some seconds; where it was done before, it does nothing. An image that is built with it has them ready, for
    every processor of the architecture. They are kept beside the program, or in the user's cache folder where that
    cannot be written to; NUMBA_CACHE_DIR names another folder.

    \b
    Example:
      counterfoil warm-up
    """
    from counterfoil.datasets.kernels.compiled import prepare
    from counterfoil.datasets.kernels.machine_code import folder_to_write
    from counterfoil.errors import DataFolderError

    folder = folder_to_write()
    if folder is None:
        raise DataFolderError(
            "There is no folder that compiled code can be kept in.", remedy="Name one with NUMBA_CACHE_DIR."
        )
    began = time.monotonic()
    compiled = prepare(wait=True)
    output.facts(
        {
            "compiled": Headed("Inner loops compiled", compiled),
            "seconds": round(time.monotonic() - began, 1),
            "folder": folder,
        }
    )
