"""The HTTP surface: who is calling, what they may have, in each dialect's own words."""
