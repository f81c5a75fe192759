"""Where data rests: the catalog, the folder of immutable files, locks and keys."""
