"""Run before a bundled program: it reads its modules out of its own file, whatever an upgrade puts in its place.

PyInstaller reads each module when it is imported, from the path that the program had when it was started. `/proc/self/exe` is
the file that runs, also once another one has its name or none has. What else an executor could need of its bundle later is in
`executor`'s hands: see `stay_whole`.
"""

import pyimod02_importers

pyimod02_importers.pyz_archive._filename = "/proc/self/exe"
