# case: left TK004:6 kept as `self.d`
import tempfile


def run(self):
    with tempfile.TemporaryDirectory() as self.d:
        print(self.d)
