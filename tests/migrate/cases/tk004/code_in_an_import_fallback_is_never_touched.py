try:
    from common.temp import temp_working_dir
except ImportError:
    import tempfile

    def temp_working_dir(name):
        with tempfile.TemporaryDirectory() as d:
            return d


print(temp_working_dir)
