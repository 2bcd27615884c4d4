"""Other processes that share the work."""
