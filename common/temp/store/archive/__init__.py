"""Entries that are archived or set aside, and restored."""
