"""Thumbnails, contact sheets and near-duplicates of a folder of photos."""
