# case: options unsafe TK007
from pathlib import Path


def main():
    out = Path(".tmp") / "report"
    out.mkdir(parents=True, exist_ok=True)

    (out / "a.txt").write_text("a")
