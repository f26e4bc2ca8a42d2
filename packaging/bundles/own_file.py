"""Run before a bundled program: it reads its modules out of its own file, whatever an upgrade puts in its place.

PyInstaller reads each module when it is imported, from the path that the program had when it was started.
`/proc/self/exe` is the file that runs, also once another one has its name or none has. So an executor goes on whatever
becomes of its bundle: what is not in that file (extension modules, encodings) it has loaded before it runs a task.
"""

import os

import pyimod02_importers

if os.path.exists("/proc/self/exe"):  # it is not, in a bare chroot
    pyimod02_importers.pyz_archive._filename = "/proc/self/exe"
