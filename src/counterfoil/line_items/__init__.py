"""What a line item is: the rules for reading one, quick readers and blocks of lines, its hash, and exact totals."""
