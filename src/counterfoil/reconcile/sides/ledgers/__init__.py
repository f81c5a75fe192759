"""One's own ledger as a side: a table in CSV, Excel, Parquet or a database, read through a mapping."""
