"""A formatter that looks for its settings upward, and passes over what git ignores."""

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from common.temp import temp_working_dir

CODE = "x = {  'a':1 }\n"


def find_root(path):
    for above in (path, *path.parents):
        if (above / ".git").exists() or (above / "pyproject.toml").exists():
            return above
    return None


@contextmanager
def changed_to(directory):
    old = os.getcwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(old)


def test_no_settings_are_found_upward():
    with temp_working_dir("no_settings_are_found_upward") as workspace:
        root = Path(workspace).resolve()
        assert find_root(root) is None


def test_root_is_that_of_the_file():
    with temp_working_dir("root_is_that_of_the_file") as workspace:
        root = Path(workspace)
        (root / "pyproject.toml").touch()
        (root / "src").mkdir()
        assert find_root((root / "src").resolve()) == root.resolve()


def test_nothing_in_it_is_ignored():
    with temp_working_dir("nothing_in_it_is_ignored") as workspace:
        ignored = [p for p in Path(workspace).resolve().parts if p in (".tmp", "build", ".git")]
        assert ignored == []


def test_from_within():
    with TemporaryDirectory() as workspace:
        with changed_to(workspace):
            Path("a.py").write_text(CODE)
            assert sorted(os.listdir(".")) == ["a.py"]


def test_cache_directory_is_made():
    with temp_working_dir("cache_directory_is_made") as workspace:
        cache = Path(workspace) / "cache" / "1"
        cache.mkdir(parents=True)
        assert cache.exists()


def test_many_files():
    seen = set()
    for number in range(4):
        with temp_working_dir("many_files") as workspace:
            seen.add(os.path.realpath(workspace))
            target = os.path.join(workspace, f"{number}.py")
            with open(target, "w") as file:
                file.write(CODE)
            assert os.path.getsize(target) == len(CODE)
    assert len(seen) == 4


def test_cached_by_path():
    cache = {}

    def settings(path):
        return cache.setdefault(path, path.read_text())

    for number in range(3):
        with temp_working_dir("cached_by_path") as workspace:
            path = Path(workspace) / "settings"
            path.write_text(str(number))
            assert settings(path) == str(number)


def test_outside_of_a_repository():
    with temp_working_dir("outside_of_a_repository") as workspace:
        done = subprocess.run(["git", "status"], cwd=workspace, capture_output=True)
        assert done.returncode == 128


def test_a_new_repository():
    with temp_working_dir("a_new_repository") as workspace:
        subprocess.run(["git", "init", "-q"], cwd=workspace, check=True)
        assert find_root(Path(workspace)) == Path(workspace)


def test_text_is_compared():
    with TemporaryDirectory() as workspace:
        assert str(workspace) + "/a.py" == workspace + "/a.py"


def test_shown_in_a_message():
    with TemporaryDirectory() as workspace:
        message = f"would reformat {workspace}/a.py, in %s" % workspace
        assert message.count(str(workspace)) == 2


def test_gathered():
    kept = []
    with TemporaryDirectory() as workspace:
        kept.append(workspace)
    assert not os.path.exists(kept[0])


def test_mode_and_removal():
    with temp_working_dir("mode_and_removal") as workspace:
        mode = os.stat(workspace).st_mode & 0o777
        shutil.copy(__file__, workspace)
    assert (mode, Path(workspace).exists()) == (0o700, False)


def test_stdin_filename():
    with temp_working_dir(
        "stdin_filename"
    ) as workspace, open(os.path.join(workspace, "x"), "w") as file:
        file.write(CODE)


def test_without_a_name():
    with temp_working_dir("without_a_name"):
        assert True


def test_suffix():
    with TemporaryDirectory(suffix=".d") as workspace:
        assert str(workspace).endswith(".d")


def test_here():
    with TemporaryDirectory(dir=os.getcwd()) as workspace:
        assert os.path.dirname(workspace) == os.getcwd()
