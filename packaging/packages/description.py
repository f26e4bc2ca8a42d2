"""The packages: what each one is called, needs and installs, for .deb and .rpm alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MAINTAINER = "the aurorad maintainers <maintainers@aurorad.invalid>"  # whoever publishes packages puts an address here
HOMEPAGE = "https://aurora.apache.org/"
SUPERVISORS = {f"packaging/{one}": f"/usr/share/doc/{{name}}/examples/{one}" for one in ("monit", "supervisord")}
MONITORING = {f"packaging/{one}": f"/usr/share/doc/{{name}}/examples/{one}" for one in ("prometheus", "grafana")}


@dataclass(frozen=True)
class Package:
    """Paths on the left are of this tree (`dist/...` was made), those on the right of the machine it is installed on.

    A folder stands for all files in it.
    """

    name: str
    summary: str
    description: tuple[str, ...]
    """Paragraphs."""
    bundle: str
    """The folder in dist; installed as /usr/lib/NAME."""
    files: Mapping[str, str]
    config: Mapping[str, str] = field(default_factory=dict)
    """Kept on upgrade, if somebody changed them."""
    links: Mapping[str, str] = field(default_factory=dict)
    """From a path to what it stands for."""
    folders: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """That are made empty: whose they are, and their mode."""
    manuals: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    deb: Mapping[str, str] = field(default_factory=dict)
    """More fields of the control file."""
    rpm: tuple[str, ...] = ()
    """More lines of the spec file."""


SCHEDULER = Package(
    name="aurora-scheduler",
    summary="scheduler of Apache Aurora jobs, for one machine or a cluster",
    description=(
        "Runs jobs (services, one-off and cron jobs) on a Mesos cluster or on this machine alone, keeps them"
        " running and updates them, as Apache Aurora's scheduler does, with its API and its pages.",
        "aurora-scheduler.service is one of a cluster's schedulers; aurora-single.service is a whole cluster on this"
        " machine. Neither is started by installing.",
    ),
    bundle="aurorad",
    files={
        "packaging/bin/aurora-scheduler": "/usr/sbin/aurora-scheduler",
        "packaging/bin/aurora-single": "/usr/sbin/aurora-single",
        **SUPERVISORS,
        **MONITORING,
    },
    config={
        "packaging/etc/aurora-scheduler": "/etc/default/aurora-scheduler",
        "packaging/etc/aurora-single": "/etc/default/aurora-single",
    },
    folders={
        "/var/lib/aurora": ("root", 0o755),
        "/var/lib/aurora/scheduler": ("aurora", 0o750),
        "/var/lib/aurora/backups": ("aurora", 0o750),
    },
    manuals=("aurora-scheduler.8", "aurora-single.8"),
    units=("aurora-scheduler.service", "aurora-single.service"),
    deb={"Depends": "adduser", "Suggests": "aurora-tools"},
    rpm=("Requires(pre): shadow-utils",),
)

EXECUTOR = Package(
    name="aurora-executor",
    summary="executor and observer of Apache Aurora jobs, for Mesos agents",
    description=(
        "Runs the tasks of Aurora jobs on a Mesos agent: /usr/share/aurora/bin/thermos_executor is what the agent"
        " starts. The observer shows tasks, their processes and their files; thermos looks at them from a shell.",
        "A machine that runs aurora-single needs none of this.",
    ),
    bundle="aurorad",
    files={
        "packaging/bin/aurora-observer": "/usr/sbin/aurora-observer",
        "packaging/thermos_executor": "/usr/share/aurora/bin/thermos_executor",
        **SUPERVISORS,
    },
    config={"packaging/etc/thermos": "/etc/default/thermos"},
    links={"/usr/bin/thermos": "/usr/lib/aurora-executor/thermos"},
    manuals=("aurora-observer.8", "thermos.1"),
    units=("aurora-observer.service",),
    deb={"Recommends": "procps"},
)

TOOLS = Package(
    name="aurora-tools",
    summary="command line for Apache Aurora: aurora, aurora_admin",
    description=(
        "Creates, updates, watches and kills jobs on a cluster whose scheduler is aurorad or Apache Aurora, and"
        " administers it.",
    ),
    bundle="aurora",
    files={
        "dist/completions/aurora.bash": "/usr/share/bash-completion/completions/aurora",
        "dist/completions/aurora_admin.bash": "/usr/share/bash-completion/completions/aurora_admin",
        "dist/completions/aurora.zsh": "/usr/share/zsh/vendor-completions/_aurora",
        "dist/completions/aurora_admin.zsh": "/usr/share/zsh/vendor-completions/_aurora_admin",
        "dist/completions/aurora.fish": "/usr/share/fish/vendor_completions.d/aurora.fish",
        "dist/completions/aurora_admin.fish": "/usr/share/fish/vendor_completions.d/aurora_admin.fish",
        "examples/tutorial": "/usr/share/doc/{name}/examples/tutorial",
        "examples/hello_world.aurora": "/usr/share/doc/{name}/examples/hello_world.aurora",
    },
    config={"packaging/etc/clusters.json": "/etc/aurora/clusters.json"},
    links={
        "/usr/bin/aurora": "/usr/lib/aurora-tools/aurora",
        "/usr/bin/aurora_admin": "/usr/lib/aurora-tools/aurora_admin",
    },
    manuals=("aurora.1", "aurora_admin.1"),
    deb={"Suggests": "aurora-scheduler, openssh-client"},
)

PACKAGES = (SCHEDULER, EXECUTOR, TOOLS)
