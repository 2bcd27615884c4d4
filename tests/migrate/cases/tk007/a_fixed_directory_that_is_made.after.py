# case: options unsafe TK007
from common.temp import TempManager


def main():
    out = TempManager.create_persistent_dir("report", "work")

    (out / "a.txt").write_text("a")
