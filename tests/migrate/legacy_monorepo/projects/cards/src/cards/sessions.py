"""A session at the card reader."""

import os
import shutil
from tempfile import TemporaryDirectory


class Session:
    """Holds what was read until it is kept or thrown away."""

    def __init__(self):
        self.scratch = TemporaryDirectory()

    def read(self, photo):
        return shutil.copy(photo, self.scratch.name)

    def keep(self, library):
        for name in os.listdir(self.scratch.name):
            shutil.move(os.path.join(self.scratch.name, name), library)

    def close(self):
        self.scratch.cleanup()
