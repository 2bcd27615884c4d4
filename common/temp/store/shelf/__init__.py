"""Shelves: local directories of entries, each with a manifest beside it.

The undo area of `--undoable` is one (`undo`), and so is an archive on a local disk. An entry is
moved there by one rename (`moving`) and back by another (`putting`). `listing` reads a shelf,
`dropping` deletes from it.
"""
