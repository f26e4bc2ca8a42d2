"""The `thermos` command: tasks of this machine, with or without a scheduler (thermos-runner sheet, 13 and 14)."""
