"""The recipe of the docs for e-mail, with a real apprise and a private mail server."""

from __future__ import annotations

import json
import os
import socket
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from tests.docs import DOCS, blocks
from tests.schedule.test_run import log
from tests.support import check_report, make_entry, tempkeep

controllers = pytest.importorskip("aiosmtpd.controller", reason="needs aiosmtpd")
PROGRAMS = Path(sys.executable).parent


class Inbox:
    """What a mail server was given."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[tuple[Inbox, int]]:
    """A mail server that takes all mail, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    inbox = Inbox()
    controller = controllers.Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield inbox, port
    finally:
        controller.stop()


@pytest.mark.skipif(not (PROGRAMS / "apprise").exists(), reason="needs apprise")
def test_a_clean_that_fails_is_mailed(
    project: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = blocks(DOCS / "ci-and-schedules.md")
    (recipe,) = (block.text for block in page if block.kind == "toml" and "apprise" in block.text)
    (project / "pyproject.toml").write_text(recipe)
    assert "curl" in tomllib.loads(recipe)["tool"]["tempkeep"]["on_success"]
    make_entry(root, "debug/old_1696348800", age_hours=999)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TEMPKEEP_MAX_AGE", "soon")
    with mail_server() as (inbox, port):
        where = f"127.0.0.1:{port}/?mode=insecure&from=clean@example.org&to=ops@example.org"
        (tmp_path / ".config").mkdir()
        (tmp_path / ".config" / "apprise.conf").write_text(f"ops=mailto://{where}\n")
        assert tempkeep("temp-clean", "--yes", "--scheduled") == 2
    assert " exit 2: error: " in log(project)[-1]
    (envelope,) = inbox.envelopes
    assert envelope.rcpt_tos == ["ops@example.org"]
    mail = message_from_bytes(envelope.content, policy=policy.default)
    assert mail["Subject"] == "tempkeep: a clean failed"
    report = check_report(json.loads(mail.get_content()))
    assert (report["exit_code"], report["line"]) == (2, log(project)[-1])
