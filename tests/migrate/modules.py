"""Modules that Hypothesis makes up, of what the safe rules rewrite and what they must not.

Each prints what it sees, and never where its scratch is: that is what a rewrite may change.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]
Lines = list[str]

SAFE = (
    "print(os.path.isdir(D))",
    "print(os.path.basename(os.path.join(D, 'x')))",
    "print(sorted(os.listdir(D)))",
    "print(Path(D).is_dir())",
    "print((Path(D) / 'a').name)",
    "print(Path(D, 'a', 'b').parent.name)",
    "print(str(D) == os.fspath(D))",
    "print(os.fspath(D).count('//'))",
    "print(f'{D}' == str(D))",
    "print(f'{D!s}' == str(D))",
    "print('%s' % D == str(D))",
    "print('%s-%s' % (1, D) == '1-' + str(D))",
    "print('{}'.format(D) == str(D))",
    "print('{0}/{x}'.format(D, x=1) == str(D) + '/1')",
    "print('{x}'.format(x=D) == str(D))",
    "open(os.path.join(D, 'f@'), 'w').close()",
    "with open(f'{D}/g@', 'w') as file:\n    print(file.write('text'))",
    "print(subprocess.run(['ls', D], capture_output=True).stdout)",
    "print(subprocess.run(['ls'], cwd=D, stdout=subprocess.PIPE).stdout)",
    "os.makedirs(os.path.join(D, 'deep', '@'), exist_ok=True)",
    "print([len(files) >= 0 for _, _, files in os.walk(D)])",
    "print(sorted(item.name for item in os.scandir(D)))",
    "before = os.getcwd()\nos.chdir(D)\nprint(sorted(os.listdir('.')))\nos.chdir(before)",
    "print(sorted(glob.glob('*', root_dir=D)))",
    "print(os.stat(D).st_nlink > 0)",
    "shutil.copytree(D, os.path.join(D, 'copy@'), ignore=lambda *_: os.listdir(D))",
    "print(shutil.make_archive(os.path.join(D, 'pack@'), 'zip', root_dir=D)[-4:])",
    "print(os.path.basename(shutil.copy(os.devnull, os.path.join(D, 'null@'))))",
    "handle, name = tempfile.mkstemp(dir=D)\nos.close(handle)\n"
    "print(os.path.dirname(name) == str(D))\nos.remove(name)",
    "if D:\n    print('set')",
    "if not D:\n    print('not set')",
    "print(D is None)",
    "print('yes' if D else 'no')",
    "assert D",
    "print(len([name for name in os.listdir(D) if os.path.exists(os.path.join(D, name))]))",
    "def look():\n    return len(os.listdir(D))\nprint(look())",
    "print((lambda: os.path.isdir(D))())",
    "try:\n    os.listdir(os.path.join(D, 'none'))\nexcept OSError:\n    print('none')",
    "del D\nprint('deleted')",
    "print('ü😀', os.path.isdir(D), 'ü')",
    "x = 'ü'; print(os.path.isdir(D), x)  # ü",
    "print(os.path.isdir(\n    D,  # over several lines\n))",
    "print(\\\n    os.path.isdir(D))",
    'text = """several\nlines # and no comment\n"""\nprint(text, os.path.isdir(D))',
    "for name in sorted(os.listdir(D)):\n    print(os.path.exists(os.path.join(D, name)))",
)
"""Uses of `D` that mean the same for a `Path`; `@` is a number of its own."""

UNSAFE = (
    "print(os.path.isdir(D + '/x'))",
    "print(('x' + D)[0])",
    "print((D * 2)[:1])",
    "print(D[0])",
    "print(D[:1])",
    "print(len(D) > 0)",
    "print('/' in D)",
    "print(D in ['a', 'b'])",
    "print(D.startswith('/'))",
    "print(D.replace(D, 'gone'))",
    "print(D.encode()[:1])",
    "split = D.split\nprint(split('/')[0])",
    "print(os.pathsep.join([D, 'x'])[-1])",
    "print(''.join(D)[0])",
    "print(D == str(Path(D)))",
    "print(str(Path(D)) == D)",
    "print(D != os.fspath(D))",
    "print(D < 'zzz', max(D, 'a')[0])",
    "print(isinstance(D, str))",
    "print(isinstance(D, (str, bytes)))",
    "print(type(D).__name__)",
    "print(D.__class__.__name__)",
    "print(json.dumps({'d': D})[:3])",
    "print(json.dumps(D)[0])",
    "os.environ['SCRATCH'] = D\nprint(os.environ.pop('SCRATCH')[0])",
    "print(dict(os.environ, SCRATCH=D)['SCRATCH'][0])",
    "print(subprocess.run(['true'], env={'SCRATCH': D}).returncode)",
    "print(subprocess.run('true ' + D, shell=True).returncode)",
    "sys.path.insert(0, D)\nprint(sys.path.pop(0)[0])",
    "print(f'{D!r}'[0])",
    "print(f'{D=}'[2])",
    "print(len(f'{D:>300}'))",
    "print(len(f'{D:{300}}'))",
    "print('%r' % (D,))[0] if False else print(('%r' % D)[0])",
    "print(len('%300s' % D))",
    "print(('%(d)r' % {'d': D})[0])",
    "print('{!r}'.format(D)[0])",
    "print(len('{:>300}'.format(D)))",
    "print('{0[0]}'.format(D))",
    "print('{x.__class__.__name__}'.format(x=D))",
    "print(str.format('{!r}', D)[0])",
    "print(repr(D)[0])",
    "print(ascii(D)[0])",
    "print(format(D, '>300')[0])",
    "kept.append(D)\nprint(type(kept.pop()).__name__)",
    "print(named(D))",
    "print(named(x=D))",
    "print(named(*[D]))",
    "print(list(map(named, [D])))",
    "other = D\nprint(type(other).__name__)",
    "other: object = D\nprint(type(other).__name__)",
    "print(type(other := D).__name__)",
    "first, second = D, 1\nprint(type(first).__name__)",
    "Kept.d = D\nprint(type(Kept.d).__name__)",
    "kept_by_name['d'] = D\nprint(type(kept_by_name['d']).__name__)",
    "setattr(Kept, 'd', D)\nprint(type(Kept.d).__name__)",
    "print([letter for letter in D][0])",
    "print(any(letter == '/' for letter in D))",
    "first, *_ = D\nprint(first)",
    "print(*D[:1])",
    "print({'d': D}['d'][0])",
    "print({D}.pop()[0])",
    "print((lambda d=D: type(d).__name__)())",
    "print((lambda: D)()[0])",
    "def default(d=D):\n    return type(d).__name__\nprint(default())",
    "def inner():\n    return D\nprint(type(inner()).__name__)",
    "def inner():\n    yield D\nprint([type(d).__name__ for d in inner()])",
    "print([type(d).__name__ for d in [D]])",
    "match D:\n    case str():\n        print('text')\n    case _:\n        print('other')",
    "D += '/x'\nprint(D[-1])",
    "print(bytes(D, 'ascii')[:1])",
    "print(str(D, *[])[0] if False else str.title(D)[0])",
    "print(re.match('/', D) is not None)",
    "print(hash(D) == hash(str(D)))",
    "print((D or 'x')[0])",
    "print((D and D)[0])",
    "print((D if D else 'x')[0])",
    "print((None if not D else D)[0])",
    "print(eval('D')[0])",
    "print(sys.stdout.write(D[:0]))",
    "print(getattr(D, 'upper')()[0])",
    "print(os.path.join('/', *[D])[0], [D][0][0])",
    "print(functools.partial(named, D)())",
    "print(urllib.parse.quote(D)[0])",
    "import string\nprint(string.Template('$d').substitute(d=D)[0], string.capwords(D)[0])",
    "try:\n    raise OSError(D)\nexcept OSError as error:\n    print(type(error.args[0]).__name__)",
    "with open(os.path.join(str(D), 'h@'), 'w') as file:\n    print(file.write(D) > 0)",
    "print('D: ' + D, file=open(os.devnull, 'w'))",
    "print(D is D[:])",
    "async def waits():\n    return D\nimport asyncio\nprint(type(asyncio.run(waits())).__name__)",
    "class Holder:\n    held = D\nprint(type(Holder.held).__name__)",
    "class Asks:\n    def __init__(self, d=D):\n        self.d = d\nprint(type(Asks().d).__name__)",
    "print(next(iter(D)))",
    "print(sorted([D, 'a'])[0][0])",
    "assert isinstance(D, str), D",
    "print(bool(D.strip()))",
    "x = y = D\nprint(type(y).__name__)",
    "print(tempfile.gettempprefix().startswith(D[:0]))",
    "print(os.path.dirname(D).startswith('/'), D.rstrip('/')[0])",
    "print(os.get_exec_path({'PATH': D})[0][0])",
)
"""Uses of `D` that do not; a rewrite has to leave the whole site alone."""

PREAMBLE = """\
import functools, glob, json, os, re, shutil, subprocess, sys, urllib.parse
from pathlib import Path

kept = []
kept_by_name = {}

class Kept:
    pass

def named(x):
    return type(x).__name__
"""

HELPERS = (
    """\
def get_temp_dir(prefix='temp'):
    base = Path('.tmp')
    base.mkdir(exist_ok=True)
    temp_dir = base / f'{prefix}_{int(time.time())}'
    temp_dir.mkdir(exist_ok=True)
    return temp_dir
""",
    '''\
def get_temp_dir(name: str = "run") -> Path:
    """Scratch."""
    # copied
    root = Path(".tmp")
    root.mkdir(parents=True, exist_ok=True)
    stamp = int(time.time())  # seconds
    directory = root / f"{name}_{stamp}"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
''',
    """\
def get_temp_dir(prefix):
    scratch = Path('.tmp') / f'{prefix}_{int(time.time())}'
    scratch.mkdir(parents=True, exist_ok=True)
    return scratch
""",
)

OTHER_HELPERS = (
    """\
def get_temp_dir(prefix='temp'):
    base = Path('.tmp') / 'all'
    base.mkdir(parents=True, exist_ok=True)
    return base
""",
    """\
def get_temp_dir(prefix='temp'):
    path = Path('.tmp', 'same')
    path.mkdir(parents=True, exist_ok=True)
    (path / str(prefix)).touch()
    return path
""",
    """\
def get_temp_dir(prefix='temp'):
    base = Path('.tmp')
    base.mkdir(exist_ok=True)
    temp_dir = base / f'{prefix}_{int(time.time())}'
    temp_dir.mkdir(exist_ok=True)
    (temp_dir / 'made').touch()
    return temp_dir
""",
)

HELPER_USES = (
    "out = get_temp_dir('run@')\nprint(out.is_dir(), out.name.partition('_')[0], os.listdir(out))",
    "print(get_temp_dir('call@').name.partition('_')[0])",
    "print(get_temp_dir(f'call-{@}').name.partition('_')[0])",
    "label = 'label@'\nprint(get_temp_dir(label).name.partition('_')[0])",
    "print(get_temp_dir(str(@)).name.partition('_')[0])",
    "print(get_temp_dir(@).name.partition('_')[0])",
    "print(get_temp_dir(prefix='key@').name.partition('_')[0])",
    "print(get_temp_dir().name.partition('_')[0])",
    "print([path.name.partition('_')[0] for path in map(get_temp_dir, ['map@'])])",
    "print(get_temp_dir(*['star@']).name.partition('_')[0])",
    "print(get_temp_dir('a/@').name.partition('_')[0])",
    "print(get_temp_dir('').name.partition('_')[0])",
    "print(get_temp_dir('.hidden@').name.partition('_')[0])",
    "print((lambda get_temp_dir: get_temp_dir('x'))(lambda name: name * @))",
    "def own(get_temp_dir):\n    return get_temp_dir(@)\nprint(own(str))",
    "def own():\n    get_temp_dir = str\n    return get_temp_dir(@)\nprint(own())",
    "print(get_temp_dir('note@')  # why\n      .is_dir())",
    "print(get_temp_dir(\n    # the comment stays\n    'many@',\n).is_dir())",
    "print(get_temp_dir.__name__)",
    "print(get_temp_dir('relative@').is_absolute())",
    "out = get_temp_dir('parts@')\nprint(out.parts[0])",
    "again = get_temp_dir\nprint(again('again@').is_dir())",
)


class Made(NamedTuple):
    """A module, as bytes, and how many places in it a safe rule may rewrite."""

    data: bytes
    sites: int


class _Maker:
    """Puts one module together."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.number = 0
        self.imports = {"import tempfile"}
        self.sites = 0
        self.has_helper = False

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(1, 100)) <= percent)

    def use(self, name: str, *, safe: bool) -> Lines:
        self.number += 1
        text: str = self.pick(*(SAFE if safe else UNSAFE))
        lines = spelled(text, name, self.number)
        if self.chance(15):
            lines[-1] += "  # why"
        if self.chance(10):
            lines.insert(0, "# before")
        if self.chance(10):
            lines.append("")
        return lines

    def constructor(self) -> tuple[Lines, str]:
        """A local import, if any, and the text that makes a temporary directory."""
        imported, text = self.pick(
            ("import tempfile", "tempfile.TemporaryDirectory()"),
            ("import tempfile", "tempfile.TemporaryDirectory()"),
            ("import tempfile as tf", "tf.TemporaryDirectory()"),
            ("from tempfile import TemporaryDirectory", "TemporaryDirectory()"),
            ("from tempfile import TemporaryDirectory as TD", "TD()"),
            ("import tempfile", "tempfile.TemporaryDirectory(prefix='x')"),
            ("import tempfile", "tempfile.TemporaryDirectory(dir=os.getcwd())"),
            ("from tempfile import gettempdir, TemporaryDirectory", "TemporaryDirectory( )"),
        )
        if self.chance(20):
            return [imported], text
        self.imports.add(imported)
        return [], text

    def site(self, depth: int) -> Lines:
        """A `with`, and what is done in it."""
        local, made = self.constructor()
        name = self.pick("d", "d", "d", "tmp", "tmpdir")
        if self.chance(35):
            return [*local, *self.siblings(made, name)]
        if self.chance(5):
            return [*local, *self.asked_later(made, name)]
        is_safe = self.chance(70)
        count = self.draw(st.integers(1, 3))
        body: Lines = [f"{name} = Path({name})"] if self.chance(8) else []
        odd = -1 if is_safe else self.draw(st.integers(0, count - 1))
        for index in range(count):
            lines = self.use(name, safe=index != odd)
            body += self.wrapped(lines) if self.chance(25) else lines
        if depth and self.chance(30):
            body += self.site(depth - 1)
            if self.chance(40):
                body += self.use(name, safe=self.chance(60))
        self.sites += is_safe
        head = self.pick(
            f"with {made} as {name}:",
            f"with {made} as {name}:",
            f"with {made} as {name}:  # scratch",
            f"with {made} as {name}, open(os.devnull):",
            f"with open(os.devnull), {made} as {name}:",
            f"with ({made} as {name}):",
        )
        lines = [*local, head, *_indented(body)]
        if self.chance(20):
            lines.append(f"print(os.path.exists({name}))")
        elif self.chance(8):
            lines.append(f"print({name}[0])")
        return lines

    def asked_later(self, made: str, name: str) -> Lines:
        """A function that is made in one `with`, and sees what the next one binds."""
        use = self.pick(f"type({name}).__name__", f"os.path.isdir({name})", f"{name}[0]")
        return [
            f"with {made} as {name}:",
            "    def ask():",
            f"        return {use}",
            f"with {made} as {name}:",
            "    print(ask())",
        ]

    def siblings(self, made: str, name: str) -> Lines:
        """A `with` whose directory has children with literal names, made at once."""
        first, second = self.pick(("source", "target"), ("a", "b"), ("in", "out"))
        one, other = self.pick(("source", "target"), ("left", "right"))
        base = self.pick(f"Path({name})", f"Path({name})", "base")
        lines = [f"base = Path({name})"] if base == "base" else []
        makes = self.pick(
            [f"{one}.mkdir()", f"{other}.mkdir()"],
            [f"{one}.mkdir()", f"{other}.mkdir()"],
            [f"{one}.mkdir()"],
            [f"{one}.mkdir(exist_ok=True)", f"{other}.mkdir(parents=True)"],
        )
        paths = [f'{one} = {base} / "{first}"', f'{other} = {base} / "{second}"']
        if self.chance(50):
            lines += [*paths, *makes]
        else:
            lines += [paths[0], makes[0], paths[1], *makes[1:]]
        if self.chance(25):
            lines.insert(1, "# side by side")
        lines += self.pick(
            [f"({one} / 'file').write_text('x')", f"print(sorted(os.listdir({one})))"],
            [f"print({one}.name, {other}.name, {one}.parent == {other}.parent)"],
            [f"print({one}.is_dir(), {other}.is_dir())"],
            [f"shutil.copytree({one}, {other})", f"print({other}.is_dir())"],
            [f"print(sorted(os.listdir({one}.parent)))"],
            [f"print({one}.exists() and {one}.rename({other}).name)"],
        )
        if self.chance(20):
            lines += self.use(name, safe=self.chance(50))
        self.sites += 1
        return [f"with {made} as {name}:", *_indented(lines)]

    def wrapped(self, lines: Lines) -> Lines:
        """`lines` in a block of another kind."""
        head, *after = self.pick(
            ["if True:"],
            ["for _ in range(1):"],
            ["with open(os.devnull) as nothing:"],
            ["try:", "finally:", "    print('finally')"],
            ["try:", "except OSError as error:", "    print(type(error).__name__)"],
        )
        return [head, *_indented(lines), *after]

    def block(self) -> Lines:
        """Something at the top level of a function or of the module."""
        if self.has_helper and self.chance(50):
            self.number += 1
            return spelled(self.pick(*HELPER_USES), "d", self.number)
        return self.site(depth=1)

    def function(self, name: str) -> Lines:
        """A function with such a block, and its call."""
        body = self.block()
        if self.chance(15):
            body += [self.pick("return None", "return", "pass")]
        if self.chance(15):
            body.insert(0, '"""What it does."""')
        head = self.pick(
            f"def {name}():",
            f"def {name}():",
            f"def {name}(d=None):",
            f"def {name}(tempfile=tempfile):",
        )
        return ["", "", head, *_indented(body), "", "", f"{name}()"]


def spelled(use: str, name: str, number: int) -> Lines:
    """The lines of a use of the directory that is called `name`."""
    return re.sub(r"\bD\b", name, use).replace("@", str(number)).split("\n")


def _indented(lines: Lines) -> Lines:
    return [f"    {line}" if line else "" for line in lines]


@st.composite
def modules(draw: Draw) -> Made:
    """A module that runs, in one of the ways in which people write them."""
    maker = _Maker(draw)
    body: Lines = []
    if maker.chance(55):
        body += ["", "", "import time"]
        kinds = HELPERS if maker.chance(75) else OTHER_HELPERS
        body += ["", "", *maker.pick(*kinds).rstrip("\n").split("\n"), "", ""]
        maker.has_helper = True
    for index in range(draw(st.integers(1, 3))):
        body += ["\x0c"] if maker.chance(10) else []
        body += maker.function(f"work{index}") if maker.chance(60) else ["", *maker.block()]
    shadow = maker.pick(
        [], [], [], [], [], [],
        ["class TemporaryDirectory:",
         "    def __enter__(self):",
         "        os.makedirs('own', exist_ok=True)",
         "        return 'own'",
         "    def __exit__(self, *raised):",
         "        shutil.rmtree('own', ignore_errors=True)"],
        ["try:",
         "    from tempfile import TemporaryDirectory",
         "except ImportError:",
         "    TemporaryDirectory = None"],
        ["tempfile = sys.modules['tempfile']"],
    )  # fmt: skip
    head = ['"""Made up."""'] if maker.chance(30) else []
    if maker.chance(30):
        head += ["from __future__ import annotations"]
    lines = [*head, *sorted(maker.imports), *PREAMBLE.split("\n"), *shadow, *body, ""]
    indent = maker.pick("    ", "    ", "  ", "\t")
    text = "\n".join(_reindented(line, indent) for line in lines)
    text = text.replace("\n", maker.pick("\n", "\n", "\r\n"))
    mark = maker.pick(b"", b"", b"", b"\xef\xbb\xbf")
    return Made(mark + text.encode(), maker.sites)


def _reindented(line: str, indent: str) -> str:
    depth = (len(line) - len(line.lstrip(" "))) // 4
    return indent * depth + line[depth * 4 :]
