"""What does what the flows decide: httpx with threads, or httpx with tasks; and the tokens that calls bear."""
