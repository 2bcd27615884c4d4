"""Archives in OpenStack Swift through its S3 API, another server than in the other tests."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.buckets import KEYS
from tests.store.trees import rich, seen
from tests.support import environment, forked, in_holding, run

KINDS = ("account", "container", "object")
PIPELINE = "catch_errors gatekeeper cache listing_formats bulk s3api tempauth copy slo dlo symlink"
FILTERS = "".join(
    f"[filter:{name}]\nuse = egg:swift#{'memcache' if name == 'cache' else name}\n"
    for name in PIPELINE.split()
    if name != "tempauth"
)
SERVER = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {top}
devices = {top}/devices
mount_check = false
workers = 0
user = {user}
log_address = {top}/no-log
[pipeline:main]
pipeline = {pipeline}
[app:{kind}-server]
use = egg:swift#{kind}
account_autocreate = true
"""
MAKE_BUCKET = """
import os, boto3
boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).create_bucket(Bucket="scratch")
"""


@pytest.fixture
def swift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a running Swift with one bucket, `scratch`, whose keys are in the environment."""
    if shutil.which("swift-proxy-server") is None:
        pytest.skip("apt-get install swift-proxy swift-account swift-container swift-object")
    top = tmp_path / "swift"
    (top / "devices" / "d1").mkdir(parents=True)
    (top / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = x\n")
    started = []
    # Not this interpreter's packages: those servers are the system's.
    env = {**environment(SWIFT_CONF_FILE=str(top / "swift.conf")), "PYTHONPATH": ""}
    try:
        for kind in (*KINDS, "proxy"):
            port, user = free_port(), os.environ.get("USER", "root")
            is_proxy = kind == "proxy"
            pipeline = f"{PIPELINE} proxy-server" if is_proxy else f"{kind}-server"
            text = SERVER.format(port=port, top=top, user=user, pipeline=pipeline, kind=kind)
            if is_proxy:
                tempauth = "[filter:tempauth]\nuse = egg:swift#tempauth\n"
                text += f"{FILTERS}{tempauth}user_test_tester = testing .admin\n"
            else:
                make_ring(top / f"{kind}.builder", port)
            (top / f"{kind}.conf").write_text(text)
            command = [f"swift-{kind}-server", str(top / f"{kind}.conf")]
            with open(top / f"{kind}.log", "wb") as log:
                started.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
            wait_for(port)
        keys = {"AWS_ACCESS_KEY_ID": "test:tester", "AWS_SECRET_ACCESS_KEY": "testing"}
        url = f"http://127.0.0.1:{port}"
        for name, value in {**KEYS, **keys, "AWS_ENDPOINT_URL": url}.items():
            monkeypatch.setenv(name, value)
        made = run([sys.executable, "-c", MAKE_BUCKET], cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        yield url
    finally:
        for process in started:
            process.kill()
            process.wait()


def make_ring(builder: Path, port: int) -> None:
    """The ring of one kind of server: one device, and no replica."""
    for arguments in (("create", "2", "1", "0"), ("add", f"r1z1-127.0.0.1:{port}/d1", "1")):
        command = ["swift-ring-builder", str(builder), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ})
    command = ["swift-ring-builder", str(builder), "rebalance"]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Wait until somebody listens there."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("Swift did not start")


@pytest.mark.slow
def test_an_entry_goes_to_swift_in_parts_and_comes_back_to_the_byte(
    project: Path, swift: str
) -> None:
    with open(project / "pyproject.toml", "a") as file:
        file.write('[tool.tempkeep]\narchive = true\narchive_location = "s3://scratch/x"\n')
    path = rich(project / ".tmp" / "debug" / "x")
    (path / "big").write_bytes(random.Random(0).randbytes(20 << 20))
    before, env = seen(path), {**os.environ}
    done = forked("temp-clean", "--everything", "--yes", cwd=project, env=env)
    assert (done.returncode, path.exists()) == (0, False), done.stdout + done.stderr
    done = forked("temp-restore", "--list", cwd=project, env=env)
    assert str(path) in done.stdout
    done = forked("temp-restore", "x", cwd=project, env=env)
    assert (done.returncode, seen(path)) == (0, before), done.stdout + done.stderr
    done = forked("temp-restore", "--list", cwd=project, env=env)
    assert done.stdout == "s3://scratch/x: nothing archived\n"
    assert in_holding(project / ".tmp") == []
