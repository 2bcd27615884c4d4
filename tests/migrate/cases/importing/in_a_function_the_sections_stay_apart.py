def listed():
    import os
    import tempfile
    import zlib

    with tempfile.TemporaryDirectory() as d:
        return os.listdir(d), zlib.crc32(b"x"), tempfile.gettempprefix()


def entered():
    import tempfile

    with tempfile.TemporaryDirectory() as d:
        return bool(str(d))


print(listed(), entered())
