"""Sounds: a text spoken by eSpeak NG if it is available, otherwise tones."""

from __future__ import annotations

import ctypes
import ctypes.util
import io
import wave
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from .wav import Samples

_SYNCHRONOUS = 2
_UTF8 = 1
_RATE = 22_050
_ON_CALL = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def speech(lines: Sequence[str], pause: float = 0.8) -> tuple[bytes, str]:
    """A WAV file in which the lines are spoken with pauses, and the name of the speaker."""
    silence = np.zeros(round(_RATE * pause), np.float32)
    spoken = [_spoken(line) for line in lines]
    who = "eSpeak NG"
    if any(line is None for line in spoken):
        who = "tones, for want of eSpeak NG (python -m pip install espeakng-loader)"
        spoken = [tone(0.06 * len(line)) for line in lines]
    parts = [silence]
    for line in spoken:
        assert line is not None
        parts += [line, silence]
    return encode(np.concatenate(parts), _RATE), who


def tone(seconds: float, rate: int = _RATE, pitch: float = 220.0) -> Samples:
    """A tone with overtones like those of a voice."""
    times = np.arange(round(seconds * rate)) / rate
    waves = [np.sin(2 * np.pi * pitch * part * times) / part for part in (1, 2, 3)]
    heard: Samples = (0.3 * np.sum(waves, axis=0)).astype(np.float32)
    return heard


def encode(samples: Samples, rate: int) -> bytes:
    """A WAV file of 16 bits, mono."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes((np.clip(samples, -1, 1) * (2**15 - 1)).astype("<i2").tobytes())
    return file.getvalue()


def _spoken(line: str) -> Samples | None:
    """The line spoken by eSpeak NG, from its wheel or the system; `None` if there is none."""
    library, data = ctypes.util.find_library("espeak-ng"), None
    if find_spec("espeakng_loader") is not None:
        loader = import_module("espeakng_loader")
        library, data = loader.get_library_path(), loader.get_data_path().encode()
    if library is None:
        return None
    try:
        espeak = ctypes.CDLL(library)
    except OSError:
        return None
    if espeak.espeak_Initialize(_SYNCHRONOUS, 0, data, 0) != _RATE:
        return None
    heard: list[bytes] = []

    def hear(samples: object, count: int, events: object) -> int:
        if samples and count:
            heard.append(ctypes.string_at(samples, 2 * count))  # type: ignore[arg-type]
        return 0

    on_call = _ON_CALL(hear)  # the callback must live as long as it may be called
    espeak.espeak_SetSynthCallback(on_call)
    espeak.espeak_SetVoiceByName(b"en-us")
    text = line.encode()
    espeak.espeak_Synth(text, len(text) + 1, 0, 0, 0, _UTF8, None, None)
    espeak.espeak_Synchronize()
    return np.frombuffer(b"".join(heard), "<i2").astype(np.float32) / np.float32(2**15)
