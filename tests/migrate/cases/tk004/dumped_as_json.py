# case: left TK004:7 passes it on
import tempfile
import json


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        json.dumps(d)
