"""The bundle of daemon and executors: one program, which is `aurorad` or `thermos` by the name it is started by."""

import sys
from pathlib import PurePath

if __name__ == "__main__":
    if PurePath(sys.argv[0]).name == "thermos":
        from executor.thermos.main import entry
    else:
        from aurorad.main import entry
    entry()
