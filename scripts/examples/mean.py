#!/usr/bin/env python3
"""Frame number and mean brightness of a ring: PYTHONPATH=$(scripts/python-path) mean.py cam1.frames"""
import sys

import shmring

with shmring.attach(sys.argv[1]) as ring:
    for f in ring:
        print(f.seq, round(float(f.numpy().mean()), 1), flush=True)
