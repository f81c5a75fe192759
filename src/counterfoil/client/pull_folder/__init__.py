"""What a pull has on disk: its folder, its lock, what is fetched and proven so far, and how to resume."""
