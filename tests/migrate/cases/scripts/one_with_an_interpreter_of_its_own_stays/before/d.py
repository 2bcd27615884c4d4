# /// script
# dependencies = ["tempkeep"]
# ///
import os
import tempfile

with tempfile.TemporaryDirectory() as d:
    print(os.listdir(d))
