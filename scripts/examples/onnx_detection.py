#!/usr/bin/env python3
"""What a model finds, by ONNX Runtime, as records with boxes: onnx_detection.py cam1.frames --model yolo11n.onnx

    found: {run: [python3, onnx_detection.py, --model, yolo11n.onnx], in: cam1.frames, out: found.events, policy: every 5}

The model is one of the family of YOLOv8 (v9, 11, 12), as Ultralytics exports them: pictures in, [1, 4 + classes, boxes]
out. `use: detect` runs more of them, of many cameras at once; this is where to begin with a model of another kind."""
import argparse
import ast
import os
import sys

import numpy
import shmring

try:
    import onnxruntime
except ImportError:
    sys.exit("onnx_detection.py needs ONNX Runtime: pip install onnxruntime")

#: Of two boxes of one label that overlap by more, the less sure one is the same thing again.
SAME = 0.5
#: What is beside the picture in the model's square, as when it was trained.
GRAY = 114


def fitted(picture, width, height):
    """The whole picture in the model's, with what takes a place there back to one here: scale, left, top."""
    rows, columns = picture.shape[:2]
    scale = min(width / columns, height / rows)
    w, h = round(columns * scale), round(rows * scale)
    left, top = (width - w) // 2, (height - h) // 2
    # The nearest pixel of each: enough to find things, and numpy alone does it.
    across = ((numpy.arange(w) + 0.5) * columns / w).astype(int)
    down = ((numpy.arange(h) + 0.5) * rows / h).astype(int)
    whole = numpy.full((height, width, 3), GRAY, numpy.uint8)
    whole[top : top + h, left : left + w] = picture[down[:, None], across]
    return whole, (scale, left, top)


def overlap(box, others):
    """Intersection over union of corners (left, top, right, bottom)."""
    low, high = numpy.maximum(box[:2], others[:, :2]), numpy.minimum(box[2:], others[:, 2:])
    both = numpy.prod(numpy.clip(high - low, 0, None), axis=1)
    sides = lambda corners: numpy.prod(corners[..., 2:] - corners[..., :2], axis=-1)
    return both / numpy.maximum(sides(box) + sides(others) - both, 1e-9)


def things(output, sure):
    """Corners, class and score of each thing, the surest first; `output` is [4 + classes, boxes]."""
    scores, classes = output[4:].max(axis=0), output[4:].argmax(axis=0)
    left = [at for at in numpy.argsort(-scores) if scores[at] >= sure]
    centre, size = output[:2].T, output[2:4].T
    corners = numpy.hstack([centre - size / 2, centre + size / 2])
    while left:
        best, *left = left
        yield corners[best], int(classes[best]), float(scores[best])
        again = overlap(corners[best], corners[left]) > SAME if left else []
        left = [at for at, is_again in zip(left, again) if not (is_again and classes[at] == classes[best])]


class Model:
    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path, providers=onnxruntime.get_available_providers())
        (self.input,) = self.session.get_inputs()
        *_, self.height, self.width = [side if isinstance(side, int) else 640 for side in self.input.shape]
        # {0: 'person', ...}, as Ultralytics writes it.
        self.names = ast.literal_eval(self.session.get_modelmeta().custom_metadata_map.get("names", "{}"))

    def find(self, picture, sure):
        """Boxes in pixels of `picture`."""
        whole, (scale, left, top) = fitted(picture, self.width, self.height)
        numbers = whole.transpose(2, 0, 1)[None].astype(numpy.float32) / 255
        (output,) = self.session.run(None, {self.input.name: numbers})[0]
        rows, columns = picture.shape[:2]
        for corners, kind, score in things(output, sure):
            corners = (corners - [left, top, left, top]) / scale
            x, y, right, bottom = (int(it) for it in numpy.clip(corners, 0, [columns, rows, columns, rows]).round())
            label = str(self.names.get(kind, kind))
            yield {"x": x, "y": y, "w": right - x, "h": bottom - y, "label": label, "score": round(score, 3)}


def main():
    parser = argparse.ArgumentParser(description="What a model finds, as records with boxes.")
    parser.add_argument("ring", nargs="?", help="as a worker that of the topology")
    parser.add_argument("--model", default=os.environ.get("MODEL"), help="a file; MODEL in the environment")
    parser.add_argument("--sure", type=float, default=0.4, help="how sure it must be, 0 to 1")
    options = parser.parse_args()
    if not options.model:
        parser.error("which model? --model FILE, or MODEL in the environment")
    # Before the ring is attached: from then on the worker counts as up.
    model = Model(options.model)
    with shmring.attach(*filter(None, [options.ring])) as ring:
        for frame in ring:
            picture = frame.rgb()
            found = list(model.find(picture, options.sure))
            if found:
                size = {"width": picture.shape[1], "height": picture.shape[0]}
                ring.emit("detection", {"boxes": found, **size}, at=frame)


if __name__ == "__main__":
    main()
