"""Paths of nodes in ZooKeeper."""

from __future__ import annotations

import re

_STEP = re.compile(r"[^/\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff]+")  # what ZooKeeper takes between slashes


def is_node_path(path: str) -> bool:
    """Whether ZooKeeper can have a node there."""
    root, *steps = path.split("/")
    return not root and bool(steps) and all(_STEP.fullmatch(step) and step not in (".", "..") for step in steps)
