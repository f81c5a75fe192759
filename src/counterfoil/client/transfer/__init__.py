"""A pull, an export or a stream, from the first call to the receipt: calls, downloads, checks, retries."""
