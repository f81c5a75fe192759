"""The client's way to the network: httpx, bearer tokens, threads, and giving up what is under way."""
