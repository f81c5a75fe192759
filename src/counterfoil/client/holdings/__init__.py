"""What is held, what a profile expects, and how it stands with each."""
