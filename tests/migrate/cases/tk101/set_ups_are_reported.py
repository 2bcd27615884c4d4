# case: left TK101:10 set-up
# case: left TK101:13 set-up
import tempfile
import unittest


class TestIt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.all = tempfile.mkdtemp()

    def setUp(self):
        self.one = tempfile.TemporaryDirectory()
        self.addCleanup(self.one.cleanup)

    def test_it(self):
        print(self.one.name, self.all)
