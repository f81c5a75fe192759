"""What a pull has on the disk: its folder, its lock, what is fetched and proven so far, and how to go on from there."""
