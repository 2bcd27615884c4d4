# case: left TK004:8 joins it as text
import tempfile
from pathlib import Path


def main(run):
    try:
        with tempfile.TemporaryDirectory() as tmp:
            run()
            tmp = Path(tmp)
            run(tmp)
    except OSError:
        run(tmp + "/x")
