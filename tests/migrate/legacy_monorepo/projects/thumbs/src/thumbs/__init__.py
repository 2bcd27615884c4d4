"""Thumbnails of photos."""
