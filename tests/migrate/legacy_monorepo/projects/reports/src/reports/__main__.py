"""python -m reports FOLDER"""

import sys
from pathlib import Path

from reports.inspecting import report_on

print(report_on(sorted(Path(sys.argv[1]).iterdir())))
