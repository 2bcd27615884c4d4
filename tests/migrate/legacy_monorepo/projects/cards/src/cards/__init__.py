"""Imports the photos of a memory card."""
