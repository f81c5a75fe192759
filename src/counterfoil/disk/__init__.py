"""Low-level work on files: locks, syncing, atomic writes and SHA-256. Runs on Windows too."""
