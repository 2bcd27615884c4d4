import os
import tempfile


def main():
    with tempfile.TemporaryDirectory() as d:
        print(d, os)
