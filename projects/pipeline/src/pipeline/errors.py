"""What can go wrong; each text says what, where and what to do."""

from __future__ import annotations


class PipelineError(Exception):
    """Nothing can be made of this text."""
