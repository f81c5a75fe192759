"""Where data rests: the catalog, the folder of immutable files, locks and keys.

It is made for POSIX. On Windows, where only a server for tests is supported, the names in folders are not synced, files
that are open cannot be deleted, and the rights of private files are not checked.
"""
