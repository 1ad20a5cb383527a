#!/usr/bin/env python3
"""What moves, found by OpenCV, as records with boxes: opencv_motion.py cam1.frames

    moving: {run: [python3, opencv_motion.py], in: cam1.frames, out: moving.events, policy: every 5}

Pages and compositors draw the boxes. `framevisor send moving '{"area": 400}'` sets the smallest area told, in pixels."""
import sys

import numpy
import shmring

try:
    import cv2
except ImportError:
    sys.exit("opencv_motion.py needs OpenCV: apt install python3-opencv, or pip install opencv-python-headless")

#: The first pictures are all background to it, or none.
LEARNING = 3
area = 200
kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


def boxes(mask):
    """Of what has moved, the largest first."""
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)
    mask = cv2.dilate(mask, kernel, iterations=3)
    # Versions of OpenCV differ in what stands before these two.
    contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[-2]
    found = sorted((cv2.boundingRect(it) for it in contours if cv2.contourArea(it) >= area), key=lambda it: -it[2] * it[3])
    return [dict(zip("xywh", map(int, box))) for box in found]


def luma(picture):
    """One channel, not copied where there is one already."""
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


with shmring.attach(*sys.argv[1:2], messages=True) as ring:
    background, size, looks = None, None, 0
    for item in ring:
        if isinstance(item, shmring.Message):
            try:
                area = float(item.data["area"])
                item.reply({"area": area})
            except (KeyError, TypeError, ValueError):
                item.refuse('expected {"area": PIXELS}')
            continue
        picture = luma(item.numpy())
        if picture.shape != size:
            # The first picture, or another size: what is known is of no use.
            size, looks = picture.shape, 0
            background = cv2.createBackgroundSubtractorMOG2(history=100, varThreshold=25, detectShadows=False)
        mask = background.apply(numpy.ascontiguousarray(picture))
        looks += 1
        if looks > LEARNING and (moving := boxes(mask)):
            # A moment: `motion.update` would go on until its `motion.end`.
            score = round(float((mask > 0).mean()), 4)
            ring.emit("motion", {"score": score, "boxes": moving, "width": size[1], "height": size[0]}, at=item)
