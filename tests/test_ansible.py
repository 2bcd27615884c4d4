"""The Ansible role and the play, run for real: three hosts, one of which is down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.store.sshd import OPTIONS, free_port, running_sshd
from tests.support import REPOSITORY, environment, make_entry

PLAYS = REPOSITORY / "deploy" / "ansible"
PROGRAM = Path(sys.executable).with_name("ansible-playbook")
OWN_CRONTABS = 'mount -t tmpfs tmpfs /var/spool/cron/crontabs && exec "$@"'


@pytest.mark.slow
@pytest.mark.skipif(not PROGRAM.exists(), reason="needs ansible-core, from pip")
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("crontab"),
    reason="needs root, unshare and cron: each host has crontabs of its own",
)
def test_two_hosts_are_installed_and_reported_and_one_is_down(tmp_path: Path, wheel: Path) -> None:
    hosts: dict[str, dict[str, object]] = {}
    page, reports = tmp_path / "fleet.html", tmp_path / "reports"

    def play(name: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        more = {"tempkeep_package": str(wheel), "tempkeep_page": str(page),
                "tempkeep_here": str(PROGRAM.with_name("tempkeep")),
                "tempkeep_reports": str(reports),
                "tempkeep_venv_command": f"{sys.executable} -m venv"}  # fmt: skip
        return subprocess.run(
            [PROGRAM, "-i", tmp_path / "inventory.json", PLAYS / name, "-e", json.dumps(more)],
            env=environment(
                ANSIBLE_HOME=str(tmp_path / "ansible"),
                ANSIBLE_SSH_ARGS=" ".join(f"-o {option}" for option in OPTIONS),
            ),
            cwd=tmp_path, capture_output=True, text=True, timeout=540,
        )  # fmt: skip

    def host(name: str, port: int) -> None:
        hosts[name] = {
            "ansible_host": "127.0.0.1",
            "ansible_port": port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(tmp_path / name / "user"),
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(tmp_path / name / "remote"),
            "tempkeep_venv": str(tmp_path / name / "venv"),
            "tempkeep_projects": [
                {"path": str(tmp_path / name / "photos"), "every": "1d", "scheduler": "cron",
                 "settings": {"max_age": "7d", "exclude": ['a"b'], "keep_last": 1}},
            ],
        }  # fmt: skip

    with ExitStack() as stack:
        for name in ("web1", "web2"):
            within = ("unshare", "--mount", "sh", "-c", OWN_CRONTABS, "sh")
            host(name, stack.enter_context(running_sshd(tmp_path / name, within=within)))
        done = play("install.yml")
        assert done.returncode == 0, done.stdout + done.stderr
        settings = (tmp_path / "web1" / "photos" / "pyproject.toml").read_text()
        assert 'max_age = "7d"\nexclude = ["a\\"b"]\nkeep_last = 1\n' in settings
        for name in ("web1", "web2"):
            make_entry(tmp_path / name / "photos" / ".tmp", "debug/run_1696348800")

        host("web3", free_port())
        done = play("report.yml")

    assert done.returncode == 2, done.stdout + done.stderr
    assert {path.name for path in reports.iterdir()} == {"web1-0.json", "web2-0.json"}
    text = page.read_text()
    assert "3 hosts, 2 projects: 2 entries" in text
    assert text.index("missing: no report") < text.index("web1")
    assert "web3" in text.partition("missing: no report")[0]
    again = json.loads((reports / "web2-0.json").read_text())
    assert (again["host"], again["projects"][0]["project"]) == ("web2", "photos")
