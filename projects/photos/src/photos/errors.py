"""What can go wrong; each text says what, where and what to do."""

from __future__ import annotations


class PhotosError(Exception):
    """Nothing can be done as asked."""


class UnusablePhoto(PhotosError):
    """One photo cannot be used; the others can."""
