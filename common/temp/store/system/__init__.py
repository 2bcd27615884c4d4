"""The operating system: relative file operations, locks, mounts, processes, renaming."""
