"""Starts the processes that train one run together on this machine, and ends them together."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessContext, ProcessExitedException, start_processes

from agm import distributed, files, machine
from agm.errors import AgmError

GRACE = 10.0
"""Seconds that the other processes have to end after one has failed, before they are ended."""

Function = Callable[..., str]


def launch(function: Function, arguments: tuple[Any, ...], device: str, devices: int) -> str:
    """Call a function in so many processes, which `distributed.join`; returns what the first one does.

    SIGTERM and SIGINT are handed on to them; if they end by it, "interrupted" is returned. Raises AgmError if one
    fails, with that one's reason, after all have ended.
    """
    if machine.choose(device) == "cuda":
        distributed.check_gpus(devices)
    threads = max(1, torch.get_num_threads() // devices)
    signals = _Signals()
    with tempfile.TemporaryDirectory() as folder, handled(signals):
        shared = (Path(folder), devices, threads, device, function, arguments)
        context = start_processes(_work, shared, devices, join=False, start_method="spawn")  # type: ignore[no-untyped-call]
        signals.hand_on_to(context)
        failed = _failed(context)
        reports = [files.read_json(path) for path in sorted(Path(folder).glob("*.json"))]
    status = next((str(report["status"]) for report in reports if report.get("status")), "")
    causes = [report for report in reports if report.get("error") and not report["lost"]]
    if causes:
        raise (AgmError if causes[0]["known"] else RuntimeError)(causes[0]["error"])
    if signals.came and not status:
        return "interrupted"
    if failed is not None or not status:
        raise AgmError(f"{_ended(context, failed or 0)}; the same command goes on from the last checkpoint")
    return status


def _work(rank: int, folder: Path, size: int, threads: int, device: str, function: Function, arguments: Any) -> None:
    """What each process does. It reports through a file: nothing that comes from another process is unpickled."""
    report: dict[str, Any] = {}
    os.environ["LOCAL_RANK"] = str(rank)
    _stay_on_this_machine()
    torch.set_num_threads(threads)
    try:
        distributed.initialise(device, f"file://{folder}/store", rank, size)
        status = function(*arguments)
        report = {"status": status} if rank == 0 else {}
        distributed.leave()
    except AgmError as error:
        report = {"error": str(error), "known": True, "lost": isinstance(error, distributed.LostError)}
    except Exception:
        trace = f"in process {rank + 1} of {size}:\n{traceback.format_exc()}"
        report = {"error": trace, "known": False, "lost": False}
    files.write_json(folder / f"{rank}.json", report)
    sys.exit("error" in report)


def _stay_on_this_machine() -> None:
    """Have gloo use the loopback interface: nobody else need reach these processes."""
    names = {name for _, name in socket.if_nameindex()} & {"lo", "lo0"}
    if names:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", names.pop())


def _failed(context: ProcessContext) -> int | None:
    """Wait for all to end; after one has failed, no longer than it takes to end the others. Returns that one's rank."""
    logging.getLogger("torch.multiprocessing").setLevel(logging.ERROR)  # it would tell of each process that it ends
    try:
        while not context.join(grace_period=GRACE):
            pass
    except ProcessExitedException as error:
        return int(error.error_index)
    return None


def _ended(context: ProcessContext, failed: int) -> str:
    """How the processes ended: by a signal from elsewhere, which another process may have noticed and ended before."""
    codes = [process.exitcode for process in context.processes]
    for number in (failed, *range(len(codes))):
        if codes[number] < 0:
            return f"process {number + 1} of {len(codes)} was ended by {signal.Signals(-codes[number]).name}"
    return f"the processes ended with exit codes {', '.join(map(str, codes))}"


class _Signals:
    """Signals that came, and the processes that are to get them."""

    def __init__(self) -> None:
        self.came = False
        self.context: ProcessContext | None = None

    def hand_on_to(self, context: ProcessContext) -> None:
        self.context = context
        if self.came:
            self._hand_on()

    def __call__(self, _: int, __: FrameType | None) -> None:
        self.came = True
        self._hand_on()

    def _hand_on(self) -> None:
        for process in self.context.processes if self.context else ():
            if process.is_alive():
                process.terminate()


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have SIGTERM and SIGINT call it. Restores the handlers on exit."""
    previous = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            previous[number] = signal.signal(number, handler)
        except ValueError:  # not in the main thread: no signals to catch
            break
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
