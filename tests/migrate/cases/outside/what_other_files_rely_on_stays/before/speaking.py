import logging
import tempfile


def speak():
    with tempfile.TemporaryDirectory() as d:
        logging.warning("in %s", d)
