"""A real Slurm of one node, in a folder, for one user: started and stopped by the tests, and unknown to others."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
MISSING = [name for name in (*DAEMONS, "sbatch") if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]

# The node is said to have GPUs and much memory, so that what jobs ask for can be seen. Nothing looks whether it has.
CONFIGURATION = """\
ClusterName=agm
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
MinJobAge=3600
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=64000 Gres=gpu:2
PartitionName=main Nodes={host} Default=YES State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """`environment`: in which sbatch, squeue and scancel speak to this one."""

    environment: dict[str, str]

    def call(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """What `scontrol` tells about all jobs, finished ones too, by the names it uses."""
        lines = self.call("scontrol", "show", "jobs", "--oneliner").splitlines()
        words = [[word.partition("=") for word in line.split()] for line in lines if line.startswith("JobId=")]
        return [{name: value for name, _, value in pairs} for pairs in words]


@contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """Its files lie in `folder`, whose path must be short: it holds a socket."""
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}:/usr/sbin"
    _write(folder)
    with ExitStack() as stack:
        for command in _daemons(folder):
            stack.enter_context(_daemon(command, environment, folder))
            if command[0] == "munged":
                _until(lambda: (folder / "munge.socket").exists())
        running = Slurm(environment)
        _until(lambda: "idle" in running.call("sinfo", "--noheader", "--format=%T"))
        try:
            yield running
        finally:
            subprocess.run(["scancel", "--user", getuser()], env=environment, check=False, timeout=60)
            _until(lambda: not running.call("squeue", "--noheader"))


def _write(folder: Path) -> None:
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o600)
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(folder=folder, host=host, user=getuser(), ports=_free_ports(2))
    (folder / "slurm.conf").write_text(text)
    # Snakemake's plugin starts srun without SLURM_CONF, and writing /etc/slurm/slurm.conf is not for tests.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _daemons(folder: Path) -> list[list[str]]:
    files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "seed-file": "munge.seed"}
    munged = ["munged", "--foreground", "--force", *(f"--{name}={folder / file}" for name, file in files.items())]
    return [munged, ["slurmctld", "-D"], ["slurmd", "-D"]]


@contextmanager
def _daemon(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    with (folder / f"{command[0]}.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "Slurm does not answer; its logs lie beside slurm.conf"
        time.sleep(0.2)
