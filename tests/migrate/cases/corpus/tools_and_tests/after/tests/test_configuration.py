"""A linter that reads settings from the directory of a file upward."""

import os
import tempfile as tf
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory as TD

from common.temp import temp_working_dir


def settings_of(path):
    found = []
    for above in Path(path).resolve().parents:
        if (above / "lint.toml").exists():
            found.append(above.name)
    return found


class SettingsTest(unittest.TestCase):
    def setUp(self):
        self.td = tf.TemporaryDirectory()
        self.tdp = Path(self.td.name).resolve()

    def tearDown(self):
        self.td.cleanup()

    def test_none(self):
        self.assertEqual(settings_of(self.tdp / "x.py"), [])

    def test_inner(self):
        with temp_working_dir("inner") as directory:
            base = Path(directory)
            (base / "a").mkdir()
            (base / "a" / "lint.toml").touch()
            self.assertEqual(settings_of(base / "a" / "x.py"), ["a"])

    def test_subdirectories(self):
        with temp_working_dir("subdirectories") as directory:
            for name in ("a", "b"):
                os.makedirs(os.path.join(directory, name, "c"))
            self.assertEqual(len(list(os.walk(directory))), 5)

    def test_relative(self):
        with temp_working_dir("configuration") as directory:
            self.assertEqual(os.path.relpath(os.path.join(directory, "x"), directory), "x")

    def test_links(self):
        with temp_working_dir("links") as directory:
            os.symlink(__file__, os.path.join(directory, "link"))
            self.assertTrue(os.path.islink(os.path.join(directory, "link")))

    def test_globbed(self):
        with temp_working_dir("globbed") as directory:
            Path(directory, "a.py").touch()
            self.assertEqual([p.name for p in Path(directory).rglob("*.py")], ["a.py"])

    def test_as_a_key(self):
        with TD() as directory:
            self.assertIn(str(directory), {directory: 1})

    def test_sliced(self):
        with TD() as directory:
            self.assertEqual(directory[0], os.sep)

    def test_of_type(self):
        with TD() as directory:
            self.assertIsInstance(directory, str)


def run(case):
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


def test_all():
    result = run(SettingsTest)
    assert not result.errors + result.failures
    assert result.testsRun == 9
