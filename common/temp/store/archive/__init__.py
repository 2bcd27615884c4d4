"""The archive: what it can do, and the kinds of archives there are (`archives`).

An archive in a directory is a shelf (`local`) that entries get to by a rename, or copied or packed
(`deposit`, `packing`, `tarring`). A move between an archive and a root goes on after a kill
(`transfer`); `restore` is how an entry comes back.
"""
