"""Where tasks run: `base` says what an engine is; each other module is one."""
