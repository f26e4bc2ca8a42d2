"""An append-only log of entries: append, read from a position, forget what lies before one."""
