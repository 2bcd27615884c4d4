"""One sweep, told once."""
