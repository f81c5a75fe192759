"""The files of a pull in each output format: blobs, Parquet, JSON lines, CSV or a workbook."""
