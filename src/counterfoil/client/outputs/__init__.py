"""Line items as one file for people: Partner Center's CSV, or an Excel workbook. Both are written as a stream."""
