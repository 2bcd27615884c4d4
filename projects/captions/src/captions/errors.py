"""What can go wrong; each text says what, where and what to do."""

from __future__ import annotations


class CaptionsError(Exception):
    """Nothing can be done as asked."""


class UploadError(CaptionsError):
    """An upload that is refused; `status` is that of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class UnusableAudio(CaptionsError):
    """A file that is no WAV file, or none that can be read."""
