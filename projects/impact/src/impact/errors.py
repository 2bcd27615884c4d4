"""The error; its message says what, where and what to do."""

from __future__ import annotations


class ImpactError(Exception):
    """The request cannot be fulfilled."""
