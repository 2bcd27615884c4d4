"""Shelves: local directories of entries, each with a manifest beside it.

What `--undoable` sets aside lies on one (`undo`), and so does what is archived on a disk. An entry
gets there by one rename (`moving`) and comes back by one (`putting`). `listing` reads a shelf,
`dropping` deletes from it.
"""
