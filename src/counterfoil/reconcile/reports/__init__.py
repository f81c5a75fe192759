"""Reports of a comparison for people: one HTML file to mail, and a workbook that adds up.

Both say the same from the same figures. Exact amounts go in; what is shown in cents adds up, and the exact text of
each is there beside it.
"""
