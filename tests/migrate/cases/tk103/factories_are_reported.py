# case: left TK103:11 handed out
# case: left TK103:15 handed out
# case: left TK103:19 handed out
# case: left TK103:23 handed out
# case: left TK103:24 handed out
import tempfile
from pathlib import Path


def make():
    return tempfile.TemporaryDirectory()


def path():
    return Path(tempfile.mkdtemp())


def each():
    yield tempfile.mkdtemp()


def use(other):
    other(tempfile.mkdtemp())
    return lambda: tempfile.mkdtemp()
