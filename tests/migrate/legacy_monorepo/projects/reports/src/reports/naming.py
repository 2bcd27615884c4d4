# -*- coding: latin-1 -*-
"""Namen für Berichte: Größe und Ähnlichkeit, wie die Kollegin in Köln sie mag."""

import tempfile
from pathlib import Path

ÄHNLICH = "ähnlich"


def named(photo, größe):
    """Der Name eines Berichts, ausprobiert auf der Platte: nicht jede mag Umlaute."""
    with tempfile.TemporaryDirectory() as ordner:
        versuch = Path(ordner, f"{photo.stem} ({größe}) {ÄHNLICH}.json")  # größer geht nicht
        versuch.touch()
        return versuch.name
