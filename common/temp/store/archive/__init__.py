"""The archive: its interface, and the kinds of archives (`archives`).

An archive in a directory is a shelf (`local`); entries are renamed, copied or packed into it
(`deposit`, `packing`, `tarring`). A move between an archive and a root is finished after a kill
(`transfer`); `restore` brings an entry back.
"""
