"""Tasks, processes, output and sandboxes of this machine, over HTTP."""
