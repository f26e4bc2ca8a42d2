"""What an update would change, as text (client-internals sheet, section 11)."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from aurorad.api.results import ConfigGroup, GetJobUpdateDiffResult
from aurorad.api.tasks import TaskConfig
from aurorad.api.updates import Range
from client.errors import CommandError, Exit
from client.plain import plain


def instances(ranges: Iterable[Range]) -> str:
    """``[0-2], [5]``."""
    in_order = sorted(ranges, key=lambda r: r.first)
    return ", ".join(f"[{r.first}]" if r.first == r.last else f"[{r.first}-{r.last}]" for r in in_order)


def summary(diff: GetJobUpdateDiffResult) -> list[str]:
    """One line for each set of instances that is not empty."""
    sets = {"add": diff.add, "remove": diff.remove, "update": diff.update, "not change": diff.unchanged}
    return ["This job update will:", *(line(label, groups) for label, groups in sets.items() if groups)]


def line(label: str, groups: Iterable[ConfigGroup]) -> str:
    return f"{label} instances: {instances(r for group in groups for r in group.instances)}"


def by_instance(groups: Iterable[ConfigGroup]) -> list[ConfigGroup]:
    """Ordered by the lowest instance of each."""
    return sorted(groups, key=lambda group: min((r.first for r in group.instances), default=0))


def show(task: TaskConfig) -> str:
    """One field per line in alphabetical order; commands are shown with real line breaks."""
    value = plain(task)
    data = value.get("executorConfig", {}).get("data")
    if data is not None:
        with contextlib.suppress(ValueError):  # another executor may have its own format
            value["executorConfig"]["data"] = json.loads(data)
    return json.dumps(value, indent=2, sort_keys=True).replace("\\n", "\n") + "\n"


def compare(remote: str, local: str, environ: Mapping[str, str]) -> str:
    """What ``$DIFF_VIEWER`` (``diff``) prints for the two. Raises `CommandError` when it fails."""
    viewer = environ.get("DIFF_VIEWER") or "diff"
    with tempfile.TemporaryDirectory(prefix="aurora-diff-") as folder:
        files = [Path(folder) / "remote", Path(folder) / "local"]
        for file, content in zip(files, (remote, local), strict=True):
            file.write_text(content)
        try:
            done = subprocess.run([*viewer.split(), *map(str, files)], capture_output=True, text=True, check=False)
        except OSError as error:
            raise CommandError(Exit.COMMAND_FAILURE, f"Error running {viewer}: {error.strerror}") from None
    if done.returncode not in (0, 1):  # 1: there are differences
        raise CommandError(Exit.COMMAND_FAILURE, f"Error running diff: {done.stderr.strip()}")
    return done.stdout
