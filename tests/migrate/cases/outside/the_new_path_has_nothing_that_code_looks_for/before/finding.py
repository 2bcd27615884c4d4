SKIPPED = {"build", "test"}


def find(where):
    return [path for path in where.rglob("*.py") if not SKIPPED & set(path.parts)]
