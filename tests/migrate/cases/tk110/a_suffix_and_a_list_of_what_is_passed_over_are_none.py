"""Writes .tmp/x files, but never `.tmp` itself."""

import os
import tempfile
from pathlib import Path

SUFFIX = ".tmp"
SUFFIXES = {".tmp", ".bak", ".swp"}
EXCLUDE = {".git", ".tmp", "build"}
norecursedirs = [".git", ".tmp"]


def save(path, text):
    part = Path(path).with_suffix(".tmp")
    part.write_text(text)
    os.replace(part, path)
    with tempfile.NamedTemporaryFile(suffix=".tmp") as file:
        file.write(b"x")
    if path.endswith(".tmp") or path + ".tmp" == "x.tmp":
        path = path.replace(".tmp", "")
    return f"{path}.tmp", "a.tmp/b", "x.tmpl", ".tmpfile", path.name + SUFFIX, ".template/x"
