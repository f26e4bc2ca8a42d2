"""The bundle of the command line: one program, which is `aurora` or `aurora_admin` by the name it is started by."""

import sys
from pathlib import PurePath

if __name__ == "__main__":
    if PurePath(sys.argv[0]).name == "aurora_admin":
        from client.admin import entry
    else:
        from client.main import entry
    entry()
