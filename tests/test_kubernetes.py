"""The workflow as jobs of Kubernetes: what they ask for, with a stand-in for kubectl that runs them here."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from support.checkout import BIN, ROOT, copy

from agm import profiles
from agm.runs import Run
from workflow import plan

PODS = yaml.safe_load((ROOT / "workflow" / "profiles" / "kubernetes" / "pods.yaml").read_text())

# `create` keeps the job and does what its pod would do; `get` tells how that ended.
KUBECTL = """\
#!/usr/bin/env python3
import json, os, subprocess, sys
from pathlib import Path

jobs, (flag, namespace, verb, *rest) = Path(os.environ["JOBS"]), sys.argv[1:]
assert (flag, namespace) == ("--namespace", "default")
if verb == "create":
    job = json.load(sys.stdin)
    pod = job["spec"]["template"]["spec"]["containers"][0]
    with (jobs / "output").open("a") as out:
        done = subprocess.run(pod["command"], cwd=pod["workingDir"], stdout=out, stderr=out)
    (jobs / job["metadata"]["name"]).write_text(json.dumps(job | {"code": done.returncode}))
else:
    assert rest[0] == "job" and rest[2] == "--output=json"
    code = json.loads((jobs / rest[1]).read_text())["code"]
    print(json.dumps({"status": {"conditions": [{"type": "Failed" if code else "Complete", "status": "True"}]}}))
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in keeps its jobs."""
    for name in ("bin", "jobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "kubectl").write_text(KUBECTL)
    (tmp_path / "bin" / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("JOBS", str(tmp_path / "jobs"))
    return tmp_path / "jobs"


def test_a_run_is_trained_by_a_job(tmp_path: Path, jobs: Path) -> None:
    root = tmp_path / "project"
    copy(root)
    profile = (root / "agm" / "profiles" / "smoke.yml").read_text().replace("runs_per_job: 12", "runs_per_job: 1")
    (root / "agm" / "profiles" / "short.yml").write_text(profile)
    config = profiles.load("smoke").run("cars", layers="nnnr")
    command = [str(BIN / "snakemake"), "--workflow-profile", "workflow/profiles/kubernetes"]
    command += ["--latency-wait", "5", f"build/runs/{config.id}/.trained", "--config", "profile=short", "threads=1"]
    environment = {name: value for name, value in os.environ.items() if name not in ("AGM_HOME", "PYTHONPATH")}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert Run.read(root / "build" / "runs" / config.id).config == config
    (job,) = (json.loads(path.read_text()) for path in jobs.glob("agm-train-1-*"))
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    asked = {"cpu": 1, "memory": f"{plan.memory_mb(config)}M", "nvidia.com/gpu": 1}
    assert container["resources"] == {"requests": asked, "limits": asked}
    assert container["image"] == PODS["image"]
    assert container["volumeMounts"] == [{"name": "project", "mountPath": PODS["mount"]}]
    assert pod["volumes"] == [{"name": "project", "persistentVolumeClaim": {"claimName": PODS["claim"]}}]
    assert 600 <= job["spec"]["activeDeadlineSeconds"] <= 240 * 60
