# case: left TK100:11 looks it up by name
# case: left TK100:12 looks it up by name
# case: left TK100:13 known only at run time
# case: left TK100:15 known only at run time
import importlib
import tempfile

import helpers


made = getattr(helpers, "get_temp_dir")("a")
more = getattr(tempfile, "mkdtemp", None)
late = importlib.import_module("tempfile").mkdtemp()
held = helpers
again = held.get_temp_dir("x")


class Own:
    def make(self):
        return self.get_temp_dir("x"), getattr(self, "name"), setattr(self, "mkdtemp", 1)
