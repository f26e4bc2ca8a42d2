"""Job keys, task ids and update ids: what is valid and how it is written (thrift-api sheet, "Job key validity")."""

from __future__ import annotations

import re
from uuid import UUID

from aurorad.api.tasks import JobKey

MAX_IDENTIFIER_LENGTH = 255
MAX_KEY_LENGTH = 200
"""Of role, environment and name together: with ``thermos-``, an instance and a UUID they become a file's name."""
MAX_PROCESS_NAME_BYTES = 255 - len("coordinator.")
"""A process's checkpoints are in a file ``coordinator.<name>``."""
_IDENTIFIER = re.compile(r"[\w.\-]+", re.ASCII)
_PROCESS_NAME = re.compile(r"[^./\0][^/\0]*")
_NOT_IN_TASK_ID = re.compile(r"[^\w\-]", re.ASCII)


def is_identifier(text: str) -> bool:
    """Whether `text` may be a role, an environment or a job name."""
    return len(text) <= MAX_IDENTIFIER_LENGTH and _IDENTIFIER.fullmatch(text) is not None


def is_valid(key: JobKey | None) -> bool:
    return key is not None and all(map(is_identifier, (key.role, key.environment, key.name)))


def is_short(key: JobKey) -> bool:
    """Whether ids of the job's tasks can be the names of files."""
    return len(key.role) + len(key.environment) + len(key.name) <= MAX_KEY_LENGTH


def is_process_name(name: str) -> bool:
    """Whether a task's process may be called so: it becomes the name of files (thermos-runner sheet, section 1)."""
    return (
        _PROCESS_NAME.fullmatch(name) is not None and len(name.encode(errors="surrogatepass")) <= MAX_PROCESS_NAME_BYTES
    )


def canonical(key: JobKey) -> str:
    """``role/environment/name``."""
    return f"{key.role}/{key.environment}/{key.name}"


def parse(path: str) -> JobKey:
    """The inverse of `canonical`. Raises `ValueError` for anything but three identifiers."""
    parts = path.split("/")
    key = JobKey(*parts) if len(parts) == 3 else JobKey()
    if not is_valid(key):
        raise ValueError(f"{path!r} is not a job key: role/environment/name was expected")
    return key


def task_id(key: JobKey, instance_id: int, unique: UUID) -> str:
    """``role-environment-name-instance-uuid``, other characters replaced (task-state-machine sheet, section 11)."""
    before, after = task_id_affixes(key, unique)
    return f"{before}{instance_id}{after}"


def task_id_affixes(key: JobKey, unique: UUID) -> tuple[str, str]:
    """What comes before and after the instance in the ids of tasks that have all else in common."""
    return _NOT_IN_TASK_ID.sub("-", f"{key.role}-{key.environment}-{key.name}-"), f"-{unique}"
