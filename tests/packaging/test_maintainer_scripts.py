"""What Debian's packages do around installing and removing, in a mount namespace of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount, and give files away")

SCRIPTS = Path(__file__).parents[2] / "packaging/debian"
EMPTY = "for place in /run /var/lib /etc/systemd; do [ ! -d $place ] || mount -t tmpfs none $place; done"


def said(script: str, argument: str, before: str, after: str) -> list[str]:
    """By the commands `after`, and the script between them and those `before`."""
    lines = ["set -eu", EMPTY, before, f"sh {shlex.quote(str(SCRIPTS / script))} {argument} >&2", after]
    command = ["unshare", "--mount", "sh", "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_purge_leaves_file_systems_alone_that_are_mounted_in_the_state() -> None:
    state = "/var/lib/aurora"
    before = f"""
        mkdir -p {state}/backups {state}/scheduler
        mount -t tmpfs none {state}/scheduler
        mkdir {state}/scheduler/lost+found
    """
    assert said("aurora-scheduler.postrm", "purge", before, f"find {state}") == [
        state,
        f"{state}/scheduler",
        f"{state}/scheduler/lost+found",
    ]


def test_a_folder_that_a_link_leads_to_stays_whose_it_is() -> None:
    before = """
        mkdir -p /var/lib/aurora/backups /var/lib/big /var/lib/bin
        ln -s /var/lib/big /var/lib/aurora/scheduler
        /bin/chown nobody /var/lib/big /var/lib/aurora/backups
        for name in getent chown chmod; do printf '#!/bin/sh\\necho "$@" >>/var/lib/said' >/var/lib/bin/$name; done
        chmod 755 /var/lib/bin/*
        touch /var/lib/said
        PATH=/var/lib/bin:$PATH
    """
    assert said("aurora-scheduler.postinst", "configure 1.0", before, "cat /var/lib/said") == ["passwd aurora"]
