"""Scanning entries, claiming them, and deleting what was claimed."""
