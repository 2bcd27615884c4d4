class TemporaryDirectory:
    pass


BASE = TemporaryDirectory()  # not tempfile's
