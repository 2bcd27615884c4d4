"""What builds leave in a project."""
