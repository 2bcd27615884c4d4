"""The error; its message says what, where and what to do."""

from __future__ import annotations


class PipelineError(Exception):
    """The text cannot be used."""
