"""The `thermos` command: tasks of this machine, run and looked at without a scheduler (thermos-runner sheet, 13 and 14)."""
