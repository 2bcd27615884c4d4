# case: options unsafe
import json
import tempfile


def main():
    with tempfile.TemporaryDirectory() as d:
        # first
        path = d + "/x.json"
        print(json.dumps({"path": path, "in": d}))
