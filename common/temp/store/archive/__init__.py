"""The archive: entries are put there (`deposit`), listed (`shelf`) and restored (`restore`).

An archive is a local directory. What `--undoable` sets aside lies in one, too (`undo`).
"""
