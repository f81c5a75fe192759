"""What is wrong with a token, a sign-in or a source, and what to do about it."""
