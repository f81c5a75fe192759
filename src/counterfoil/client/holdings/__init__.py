"""What is held, what a profile expects, and the state of each."""
