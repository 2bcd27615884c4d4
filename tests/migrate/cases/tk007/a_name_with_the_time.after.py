# case: options unsafe TK007
from common.temp import TempManager


def keep():
    out = TempManager.create_persistent_dir("report", "work")
    other = TempManager.create_persistent_dir("other", "work")
    return out, other
