"""The errors; each message says what, where and what to do."""

from __future__ import annotations


class CaptionsError(Exception):
    """The base of all errors of this package."""


class UploadError(CaptionsError):
    """An upload is refused; `status` is the HTTP status of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class UnusableAudio(CaptionsError):
    """A file is not a WAV file, or cannot be read."""
