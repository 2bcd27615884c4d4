"""Charts, which import the helper by another name from another script."""

import report
from report import scratch

if __name__ == "__main__":
    print(scratch("charts").is_dir(), report.scratch("more").is_dir())
