"""What users' machines do differently: POSIX in posix.py, Windows in windows.py, with the same names in both.

Nothing else asks which system it is. What runs in the pods is always Linux, and not meant here.
"""

import sys

if sys.platform == "win32":
    from kubectl_sky.system.windows import *
else:
    from kubectl_sky.system.posix import *
