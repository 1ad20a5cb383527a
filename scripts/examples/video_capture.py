#!/usr/bin/env python3
"""A program written for OpenCV, reading a ring: video_capture.py cam1 [PICTURES]

One line is another than before. OpenCV itself is not needed."""
import sys

import shmring

name, *count = sys.argv[1:]
left = int(count[0]) if count else -1

cap = shmring.VideoCapture(name)  # was: cv2.VideoCapture("rtsp://10.0.0.5/main")
if not cap.isOpened():
    sys.exit(f"{name}: no such camera")
width, height = int(cap.get(3)), int(cap.get(4))  # CAP_PROP_FRAME_WIDTH, _HEIGHT
print(f"{width}x{height}", flush=True)
while left != 0:
    good, image = cap.read()
    if not good:
        break
    blue, green, red = image.reshape(-1, 3).mean(axis=0)
    print(f"blue {blue:.0f} green {green:.0f} red {red:.0f}", flush=True)
    left -= 1
cap.release()
