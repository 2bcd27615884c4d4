def listed():
    import os
    import tempfile
    import zlib

    from common.temp import temp_working_dir

    with temp_working_dir("listed") as d:
        return os.listdir(d), zlib.crc32(b"x"), tempfile.gettempprefix()


def entered():
    from common.temp import temp_working_dir

    with temp_working_dir("entered") as d:
        return bool(str(d))


print(listed(), entered())
