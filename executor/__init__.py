"""One task, run: processes forked, watched, ended; what became of them on disk (thermos-runner and executor sheets)."""
