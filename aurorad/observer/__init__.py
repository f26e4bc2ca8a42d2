"""The observer: tasks, processes, logs and sandboxes of this machine over HTTP (observer sheet).

`Observer` finds and follows the tasks; `observer_app` shows them. Nothing is written, or remembered over a restart.
"""

from aurorad.observer.app import observer_app
from aurorad.observer.observer import Observer

__all__ = ["Observer", "observer_app"]
