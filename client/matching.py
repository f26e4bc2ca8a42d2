"""Which jobs a key with globs means (client-commands sheet, section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator

from aurorad.api import keys
from aurorad.api.calls import GetJobs
from client.arguments import JobPath, JobPattern
from client.errors import Exit
from client.scheduler import Scheduler
from client.session import Session


def matching(pattern: JobPattern, session: Session) -> Iterator[tuple[Scheduler, JobPath]]:
    """Each job with its scheduler, sorted. A key without globs is taken as it is. Raises `CommandError`."""
    exact = pattern.exact
    if exact is not None:
        yield session.scheduler(exact.cluster), exact
        return
    for name in sorted(session.clusters()) if pattern.cluster == "*" else [pattern.cluster]:
        scheduler = session.scheduler(name)
        session.terminal.info(f"Retrieving jobs for role {pattern.role}")
        role = None if "*" in pattern.role else pattern.role
        result = scheduler.ask(GetJobs(role), "Command failure:", Exit.COMMAND_FAILURE).get_jobs_result
        found = {job.key for job in (result.configs if result is not None else ()) if pattern.matches(job.key)}
        for key in sorted(found, key=keys.canonical):
            yield scheduler, JobPath(name, key)
