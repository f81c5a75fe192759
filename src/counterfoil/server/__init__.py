"""The HTTP surface: who is calling, what they may have, in the words of each API."""
