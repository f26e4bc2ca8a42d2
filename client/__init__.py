"""The command line: `aurora` for those who run jobs, `aurora_admin` for those who run clusters."""
