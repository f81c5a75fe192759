"""What can be summed, audited and compared: published datasets, pulls and files, as batches of exact texts."""
