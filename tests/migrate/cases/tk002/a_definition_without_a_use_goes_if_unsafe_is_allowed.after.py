# case: options unsafe
import sys
from pathlib import Path


def main():
    return sys.argv, Path
