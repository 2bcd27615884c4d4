"""Scanning entries (`scan`), claiming them (`claim`) and removing them (`many`, `named`)."""
