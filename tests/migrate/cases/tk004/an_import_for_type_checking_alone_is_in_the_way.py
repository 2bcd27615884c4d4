# case: left TK004:10 may not be imported yet here
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.temp import temp_working_dir


def main():
    with tempfile.TemporaryDirectory() as d:
        print(d)
