import tempfile


def make(run):
    return run(tempfile.mkdtemp(), tempfile.mktemp())  # tempkeep: keep TK103, TK107: run removes both
