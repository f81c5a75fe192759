"""What a line item is: one reference reader, a quick one beside it, blocks of lines, and exact totals."""
