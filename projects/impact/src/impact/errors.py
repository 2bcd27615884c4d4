"""What can go wrong; each text says what, where and what to do."""

from __future__ import annotations


class ImpactError(Exception):
    """Nothing can be done as asked."""
