"""Line items: read from what came, summed, and written as Parquet, JSON lines, CSV or a workbook."""
