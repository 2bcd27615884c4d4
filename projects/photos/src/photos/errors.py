"""The errors; each message says what, where and what to do."""

from __future__ import annotations


class PhotosError(Exception):
    """The base of all errors of this package."""


class UnusablePhoto(PhotosError):
    """One photo cannot be used; the others are not affected."""
