# case: options TK001 TK100
import sys
from pathlib import Path

if sys.platform == "win32":

    def get_temp_dir(prefix="temp"):
        return Path("C:/scratch", prefix)

else:

    def get_temp_dir(prefix="temp"):
        return Path("/scratch", prefix)


print(get_temp_dir("a"))
