# case: left TK004:7 passes it on
import tempfile
import logging


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        logging.info("%10s", d)
