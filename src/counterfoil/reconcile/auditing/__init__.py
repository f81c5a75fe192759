"""Whether line items are right by themselves: documented arithmetic, and what neighbours say of one another."""
