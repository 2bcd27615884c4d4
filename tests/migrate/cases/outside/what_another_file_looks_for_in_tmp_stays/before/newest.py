from pathlib import Path

print((max(Path(".tmp").glob("report_*")) / "a.txt").read_text())
