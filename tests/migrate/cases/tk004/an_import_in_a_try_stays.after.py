from common.temp import temp_working_dir

try:
    import tempfile
except ImportError:
    raise SystemExit("no tempfile") from None

with temp_working_dir("module") as d:
    print(d)
