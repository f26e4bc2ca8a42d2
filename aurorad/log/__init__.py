"""Agreement: the log that says what happened, in order."""
