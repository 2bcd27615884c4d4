"""An entry that is an SQLite database and the files beside it stay or go together."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from common.temp.core.policy import Policy
from common.temp.core.retention import explain, judge
from common.temp.pins import pin
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.support import EVERYTHING, NOW, age, entry, listing, process, run, swept

WRITES = """
import os, sqlite3, sys
for path in sys.argv[1:]:
    database = sqlite3.connect(path)
    database.execute("pragma journal_mode=wal")
    database.execute("create table t(x)")
    database.commit()
    database.execute("pragma wal_checkpoint")
    database.executemany("insert into t values(?)", [(1,)] * 100)
    database.commit()
os._exit(9)
"""


def write(*paths: Path) -> None:
    """Databases whose writer was killed: all rows are in their logs alone."""
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    run([sys.executable, "-c", WRITES, *map(str, paths)], cwd=paths[0].parent)
    assert all(path.with_name(f"{path.name}-wal").stat().st_size for path in paths)


def rows(path: Path) -> int:
    (found,) = sqlite3.connect(path).execute("select count(*) from t").fetchone()
    return int(found)


def test_what_keeps_a_database_keeps_its_log(root: Path) -> None:
    kept = [root / "work" / f"{name}.db" for name in ("pinned", "excluded", "opened")]
    gone = root / "work" / "gone.db"
    write(*kept, gone)
    for name in ("notes-wal", "notes.wal", "pinned.duckdb", "pinned.duckdb.wal"):
        (root / "work" / name).write_text("of no database of SQLite")
    pin(kept[0], "results of May")
    pin(root / "work" / "pinned.duckdb", "results of June")
    with process(f"file = open({str(kept[2])!r}); print(1, flush=True); input()", cwd=root.parent):
        swept(root, EVERYTHING._replace(exclude=("excluded.db",)))
    assert not [name for name in listing(root / "work") if name.startswith(("gone", "notes"))]
    assert (root / "work" / "pinned.duckdb.wal").exists()
    assert [rows(path) for path in kept] == [100] * 3


def test_a_database_is_as_old_as_its_log(root: Path) -> None:
    write(root / "work" / "new.db")
    (root / "work" / "old").write_text("x")
    for name in ("new.db", "new.db-shm", "old"):
        age(root / "work" / name, 9)
    swept(root, Policy(max_age=3600))
    assert "old" not in listing(root / "work")
    assert rows(root / "work" / "new.db") == 100


def test_a_log_stays_while_its_database_does(root: Path) -> None:
    write(root / "work" / "app.db")
    plan = prepare(root, EVERYTHING, NOW)
    alone = [step for step in plan.steps if step.entry.path == "work/app.db-wal"]
    (outcome,) = execute(plan._replace(steps=tuple(alone))).outcomes
    assert outcome.detail == "belongs to work/app.db, which stays"
    assert rows(root / "work" / "app.db") == 100


def test_what_is_explained_of_a_log_is_what_a_clean_does() -> None:
    limit = Policy(max_total_size=4096)  # by itself, it would let go of the log alone
    both = [
        entry(path=f"work/{name}", category="work", kind="file", label=name, size=4096)
        for name in ("app.db", "app.db-wal")
    ]
    for verdict in judge(both, limit, NOW):
        explained, _ = explain(both, limit, NOW, verdict.entry.path)
        assert explained == verdict
