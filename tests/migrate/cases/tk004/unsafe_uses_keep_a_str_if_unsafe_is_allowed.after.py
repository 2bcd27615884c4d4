# case: options unsafe
import json

from common.temp import temp_working_dir


def main():
    with temp_working_dir("module") as d_path:
        d = str(d_path)
        # first
        path = d + "/x.json"
        print(json.dumps({"path": path, "in": d}))
