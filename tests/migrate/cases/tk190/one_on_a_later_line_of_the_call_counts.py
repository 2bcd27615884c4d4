import tempfile

WORK = tempfile.mkdtemp(
    dir="/data",  # tempkeep: keep TK105 only there is room
)
