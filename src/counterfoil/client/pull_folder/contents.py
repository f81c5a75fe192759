"""What the folder of a pull holds, by name. Looking for pulls needs no more than this, and must stay quick."""

from typing import Final

DATA_SUFFIXES: Final = (".gz", ".parquet", ".csv", ".xlsx")  # of the files that hold line items
STAGING: Final = ".counterfoil-pull"  # the folder of what is not finished
UNFINISHED: Final = "pull.json"  # in it, where a pull can be resumed
FORMER_SUFFIX: Final = "~former"  # ends the folder beside it with former states; `expected.folder_name` never ends so
