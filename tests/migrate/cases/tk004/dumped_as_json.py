# case: left TK004:7 hands it on
import tempfile
import json


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        json.dumps(d)
