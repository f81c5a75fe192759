"""What a line item is: the rules for reading one, its hash, exact totals, and the lake that stores it."""
