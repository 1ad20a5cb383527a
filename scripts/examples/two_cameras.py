#!/usr/bin/env python3
"""Pictures of several cameras taken at the same time: two_cameras.py 'hall-*'  (or names of rings)"""
import sys

import shmring

names = sys.argv[1:]
with shmring.sync(names, tolerance="40ms") as cameras:
    for group in cameras:
        seen = ", ".join(f"{name} {f.seq}" for name, f in group.items() if f is not None)
        missing = f", without {' '.join(group.missing)}" if group.missing else ""
        print(f"{seen}{missing}: {group.skew * 1000:.1f} ms apart", flush=True)
