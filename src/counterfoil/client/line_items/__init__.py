"""Line items as files: blobs read, and Parquet, JSON lines, CSV or a workbook written."""
