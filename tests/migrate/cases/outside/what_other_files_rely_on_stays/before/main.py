import subprocess

import building
from settings import scratch

try:
    building.build()
except subprocess.CalledProcessError as error:
    print(len(" ".join(error.cmd)) > 3, scratch + "/x")
