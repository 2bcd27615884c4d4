# case: options unsafe TK007
import shutil
from pathlib import Path


def work(name):
    out = Path(".tmp") / name
    out.mkdir(parents=True)
