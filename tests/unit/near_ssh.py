#!/usr/bin/env python3
"""`ssh ... -L HERE:THERE t-RANK` between the nodes of sync_pods.py, which are folders beside each other: run0, ..."""

import os
import sys
import time

here, there = sys.argv[-2].split(":")
rank = sys.argv[-1].partition("-")[2]
run = os.path.dirname(os.path.dirname(here)) + "/run" + rank
os.symlink(run + "/" + os.path.basename(there), here)
time.sleep(60)
