"""The files in `deploy` for Kubernetes, GitHub and GitLab are valid by their schemas and run."""

from __future__ import annotations

import json
import re
import shlex
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from tests.support import REPOSITORY, environment, make_entry, run, tempkeep

DEPLOY = REPOSITORY / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yml"))


def loaded(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_kubernetes_takes_each_manifest(path: Path) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    said, version = loaded(path), kubernetes_validate.latest_version()
    kubernetes_validate.validate(said, version, strict=True)
    said["spec"]["schedules"] = "17 3 * * *"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(said, version, strict=True)


@pytest.mark.parametrize(
    ("path", "schema"),
    [("github/scratch.yml", "github-workflows.json"), ("gitlab/scratch.yml", "gitlab-ci.json")],
)
def test_github_and_gitlab_take_each_job(path: str, schema: str) -> None:
    vendored = resources.files(pytest.importorskip("check_jsonschema")) / "builtin_schemas/vendor"
    said: dict[Any, Any] = loaded(DEPLOY / path)
    if True in said:  # YAML 1.1 takes `on` for that
        said["on"] = said.pop(True)
    validator = jsonschema.Draft7Validator(json.loads((vendored / schema).read_text()))
    assert not [error.message for error in validator.iter_errors(said)]
    said["jobs" if "on" in said else "scratch page"] = {"bogus": 7}
    assert not validator.is_valid(said)


def test_the_containers_clean_their_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each runs once, in directories that stand for its mounts."""
    cron = loaded(DEPLOY / "kubernetes" / "cronjob.yml")["spec"]["jobTemplate"]["spec"]
    daemon = loaded(DEPLOY / "kubernetes" / "daemonset.yml")["spec"]
    for name, pod in (("cron", cron["template"]["spec"]), ("daemon", daemon["template"]["spec"])):
        (container,) = pod["containers"]
        scratch = tmp_path / name / "scratch"
        old = make_entry(scratch / ".tmp", "debug/old_1696348800", age_hours=999)
        new = make_entry(scratch / ".tmp", "debug/new_1696348800")
        (tmp_path / name / "metrics").mkdir()
        variables = {
            one["name"]: re.sub("^/", f"{tmp_path / name}/", one.get("value", "node7"))
            for one in container["env"]
        }
        if name == "cron":
            with monkeypatch.context() as patch:
                for variable, value in variables.items():
                    patch.setenv(variable, value)
                patch.chdir(scratch)
                assert tempkeep(*container["args"]) == 0
        else:
            *shell, script = container["command"]
            script = script.replace("sleep 21600", "exit").replace("& wait $!", "")
            script = script.replace("tempkeep", f"{shlex.quote(sys.executable)} -m common.temp")
            done = run([*shell, script], cwd=scratch, **{**environment(), **variables})
            assert done.returncode == 0, done.stderr
            assert "tempkeep_entries{" in (tmp_path / name / "metrics/tempkeep.prom").read_text()
        assert (old.exists(), new.exists()) == (False, True)


def test_all_install_the_same_version() -> None:
    texts = [path.read_text() for path in DEPLOY.rglob("*") if path.is_file()]
    assert len(set(re.findall(r"tempkeep(?:==|:)(\d[\d.]*)", "\n".join(texts)))) == 1
