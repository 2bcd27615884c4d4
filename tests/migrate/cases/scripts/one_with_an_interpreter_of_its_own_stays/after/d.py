# /// script
# dependencies = ["tempkeep"]
# ///
import os

from common.temp import temp_working_dir

with temp_working_dir("d") as d:
    print(os.listdir(d))
