# case: left TK102:7 kept
import tempfile


class Job:
    def prepare(self):
        self.one = tempfile.TemporaryDirectory()
