"""The archive: entries are stored (`deposit`), listed (`shelf`) and restored (`restore`).

An archive is a local directory. What `--undoable` sets aside is in one, too (`undo`).
"""
