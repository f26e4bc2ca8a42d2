"""What is true: a write is a list of operations, appended to the log, then applied everywhere, whole or not at all."""
