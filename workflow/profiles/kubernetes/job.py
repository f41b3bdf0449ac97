"""One of Snakemake's jobs as a job of Kubernetes: `submit JOBSCRIPT` prints its name, `status NAME` how it is.

The project's folder, checkpoints and all, lies on a volume that every pod mounts, so that a job that was evicted goes
on where it was. `pods.yaml` names the volume's claim, where it is mounted, and the image.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import yaml

PODS = Path(__file__).with_name("pods.yaml")


def main() -> int:
    command, argument = sys.argv[1:]
    pods = yaml.safe_load(PODS.read_text())
    print(submit(Path(argument), pods) if command == "submit" else status(argument, pods))
    return 0


def submit(script: Path, pods: dict[str, str]) -> str:
    """Create the job; returns its name."""
    found = manifest(script, pods)
    _kubectl(pods, "create", "--filename=-", given=json.dumps(found))
    return str(found["metadata"]["name"])


def manifest(script: Path, pods: dict[str, str]) -> dict[str, Any]:
    """What the job asks for stands in the first lines of Snakemake's script."""
    about = re.search(r"^# properties = (.*)$", script.read_text(), re.MULTILINE)
    assert about is not None, f"{script}: no script of Snakemake's"
    job = json.loads(about[1])
    wanted = job["resources"]
    asked: dict[str, Any] = {"cpu": job["threads"], "memory": f"{wanted['mem_mb']}M"}
    if wanted.get("gpu"):
        asked["nvidia.com/gpu"] = wanted["gpu"]
    container = {
        "name": "job",
        "image": pods["image"],
        "command": ["bash", "-c", script.read_text()],  # Snakemake deletes the file, perhaps before the pod is there
        "workingDir": str(Path.cwd()),
        "resources": {"requests": asked, "limits": asked},
        "volumeMounts": [{"name": "project", "mountPath": pods["mount"]}],
    }
    volume = {"name": "project", "persistentVolumeClaim": {"claimName": pods["claim"]}}
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    spec: dict[str, Any] = {"backoffLimit": 0, "template": {"spec": pod}}
    if wanted.get("runtime"):
        spec["activeDeadlineSeconds"] = 60 * wanted["runtime"]
    name = f"agm-{job['rule'].replace('_', '-').lower()}-{uuid.uuid4().hex[:8]}"
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def status(name: str, pods: dict[str, str]) -> str:
    """success, failed or running."""
    about = json.loads(_kubectl(pods, "get", "job", name, "--output=json")).get("status", {})
    ended = {entry["type"] for entry in about.get("conditions", []) if entry["status"] == "True"}
    return "success" if "Complete" in ended else "failed" if "Failed" in ended else "running"


def _kubectl(pods: dict[str, str], *arguments: str, given: str = "") -> str:
    command = ["kubectl", "--namespace", pods["namespace"], *arguments]
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
