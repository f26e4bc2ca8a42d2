"""Job files in tests: written to a folder, loaded and evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aurorad.jobfile import jobs, loader
from aurorad.jobfile.jobs import JobConfig, Selector

ANY = Selector(None, None, None, None)

# What a job needs at least; `more` are further fields of the job, `processes` and `task` those of its task.
MINIMAL = """
jobs = [Job(
    cluster = 'west', role = 'bozo', environment = 'test', name = 'hello', {more}
    task = Task(processes = [{processes}], resources = Resources(cpu = 1, ram = 2 * MB, disk = 3 * MB), {task}))]
"""
ECHO = "Process(name = 'say', cmdline = 'echo hello')"


def minimal(more: str = "", *, processes: str = ECHO, task: str = "") -> str:
    return MINIMAL.format(more=f"{more}," if more else "", processes=processes, task=task)


def load(folder: Path, text: str, **included: str) -> loader.JobFile:
    for name, content in included.items():
        (folder / f"{name}.aurora").write_text(content)
    file = folder / "job.aurora"
    file.write_text(text)
    return loader.load(file)


def evaluate(folder: Path, text: str, *bindings: tuple[str, str], wanted: Selector = ANY) -> JobConfig:
    there = jobs.bound(load(folder, text).jobs, bindings)
    return jobs.evaluate(jobs.pick(there, wanted))


def processes(config: JobConfig) -> dict[str, Any]:
    """Command lines by name, as far as they are resolved."""
    return {process.name: process.cmdline for process in config.job.task.processes}


def plain(value: Any) -> Any:
    """What a Pystachio object holds, as JSON has it; its own dictionaries cannot be compared with others."""
    return json.loads(json.dumps(value.get()))
