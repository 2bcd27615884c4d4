"""Entries are seen (`scan`), taken out of their place (`claim`) and removed (`many`, `named`)."""
