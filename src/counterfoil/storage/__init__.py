"""Where data rests: the catalog, the folder of immutable files, locks and keys.

It needs POSIX: files are read at offsets and folders synced by their descriptors. Windows lacks both, and `fcntl`.
"""

import fcntl  # noqa: F401 - so that importing fails at once there, and the command line says why
