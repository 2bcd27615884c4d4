"""The archive: entries are stored (`deposit`), listed (`shelf`) and restored (`restore`).

An archive is a local directory; what `--undoable` sets aside lies in one, too (`undo`). There is no
seam for another kind yet: `deposit`, `shelf`, `restore` and `dropping` open it by its path. A move
between it and a root goes on after a kill (`transfer`).
"""
