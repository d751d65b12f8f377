"""What the program without Python starts (native.sh)."""

import os
import sys

# The libraries that are packed here are for this process; ssh, rsync and kubectl have their own.
for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
    before = os.environ.pop(f"{name}_ORIG", None)
    if before is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = before

if sys.platform == "win32":  # the folder that is searched for them is inherited, too
    import ctypes

    ctypes.WinDLL("kernel32").SetDllDirectoryW(None)

from kubectl_sky.__main__ import main  # noqa: E402

main()
