"""The examples of scripts/examples, each run as a user would."""

import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

import numpy
import shmring

from ringtest import HEIGHT, SOON, WIDTH, RingTest, gray, until

SOURCES = pathlib.Path(__file__).resolve().parents[3]
EXAMPLES = SOURCES / "scripts" / "examples"
TESTED = {
    "asyncio_reader.py", "centroid_tracking.py", "colour_key.py", "mean.py", "numpy_statistics.py", "onnx_detection.py",
    "opencv_motion.py", "publish_frames.py", "qt_viewer.py", "stereo.py", "streamview.py", "two_cameras.py", "video_capture.py"
}  # fmt: skip


#: Of the control module, which is tested with the supervisor, of a card (test_device.py), and of a whole chain of workers.
OF_OTHERS = {"marks.py", "on_device.py", "sixteen.py"}


#: One that is none, of a model of 64x64 and two classes: it says what it would of a square on the right of its picture, twice.
ONNX_RUNTIME = """
import types, numpy

def get_available_providers():
    return ["CPUExecutionProvider"]

class InferenceSession:
    def __init__(self, path, providers):
        self.path = path
    def get_inputs(self):
        return [types.SimpleNamespace(name="images", shape=[1, 3, 64, 64])]
    def get_modelmeta(self):
        return types.SimpleNamespace(custom_metadata_map={"names": "{0: 'cat', 1: 'lamp'}"})
    def run(self, names, given):
        (picture,) = given["images"]
        assert picture.shape == (3, 64, 64) and picture.dtype == numpy.float32
        # White is 1, and above and below the picture it is gray.
        assert picture[0, 32, 40] > 0.99 and abs(picture[0, 2, 2] - 114 / 255) < 0.01
        boxes = [[40, 32, 16, 8, 0.0, 0.9], [41, 32, 16, 8, 0.0, 0.8], [8, 32, 8, 8, 0.1, 0.2]]
        return [numpy.array([boxes], numpy.float32).transpose(0, 2, 1)]
"""


class Examples(RingTest):
    def test_every_example_has_a_test(self):
        self.assertEqual({path.name for path in EXAMPLES.glob("*.py")}, TESTED | OF_OTHERS)

    def run_example(self, name, *arguments, **environment):
        child = subprocess.Popen(
            [sys.executable, EXAMPLES / name, *map(str, arguments)],
            env=os.environ | {"FRAMEVISOR_PROJECT": self.project} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A program started in the background of a shell ignores Ctrl-C unless it says otherwise.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        late = threading.Timer(3 * SOON, child.kill)
        late.start()
        self.addCleanup(late.cancel)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def readers(self, name="cam1.frames"):
        return len(self.row(name)["readers"])

    def stop(self, child):
        child.send_signal(signal.SIGINT)
        return child.communicate()

    def test_mean(self):
        writer = self.paint()
        writer.put(gray(7))
        child = self.run_example("mean.py", "cam1.frames")
        self.assertEqual(child.stdout.readline(), "1 7.0\n")
        self.stop(child)

    def test_asyncio_reader(self):
        names = ["cam1.frames", "cam2.frames"]
        writers = [self.paint(ring=name) for name in names]
        child = self.run_example("asyncio_reader.py", *names)
        until(lambda: all(self.readers(name) for name in names))
        for name, writer in zip(names, writers):
            writer.put(gray(1))
            self.assertRegex(child.stdout.readline(), rf"^{name} 1 \d+\.\d ms old$")
        _, complaints = self.stop(child)
        self.assertEqual(complaints, "")

    def test_publish_frames(self):
        child = self.run_example("publish_frames.py", "sim.frames", 100)
        frame = self.attach("sim.frames", wait=SOON).next(timeout=SOON)
        picture = frame.numpy()
        self.assertEqual((picture.shape, frame.format, frame.duration), ((360, 640, 3), "rgb24", 0.04))
        number = frame.seq - 1
        self.assertEqual(picture[5, 7].tolist(), [7 + number, 128, number])
        metrics = self.attach("ext.publish_frames.events", policy="sequential", wait=SOON)
        metric = metrics.next(timeout=SOON)
        self.assertEqual((metric.kind, metric.camera, metric.data["pictures"]), ("metric", "sim", 1))
        _, complaints = child.communicate()
        self.assertEqual((complaints, child.returncode), ("", 0))

    def test_numpy_statistics(self):
        writer = self.paint()
        child = self.run_example("numpy_statistics.py", "cam1.frames")
        until(lambda: self.readers())
        writer.put(gray(252))
        records = self.attach("ext.numpy_statistics.events", policy="sequential", wait=SOON)
        record = records.next(timeout=SOON)
        self.assertEqual((record.kind, record.camera, record.frame.sequence), ("statistics", "cam1", 1))
        told = {"mean": 252.0, "median": 252.0, "contrast": 0.0, "sharpness": 0.0, "clipped": 1.0}
        self.assertEqual(record.data, told)
        # Edges are sharp, and half of the picture is dark.
        writer.put(bytes([0, 0, 200, 200]) * (WIDTH * HEIGHT // 4))
        data = records.next(timeout=SOON).data
        self.assertEqual((data["mean"], data["contrast"], data["clipped"]), (100.0, 200.0, 0.0))
        self.assertGreater(data["sharpness"], 1000)
        _, complaints = self.stop(child)
        self.assertNotIn("Error", complaints)

    def test_centroid_tracking(self):
        writer = self.paint(size=(128, 96))
        child = self.run_example("centroid_tracking.py", "cam1.frames")
        until(lambda: self.readers())
        records, seen = None, []
        for step in range(3):
            picture = numpy.full((96, 128), 20, numpy.uint8)
            picture[16:32, 16 + 8 * step : 32 + 8 * step] = 255
            picture[64:80, 96:112] = 250
            # One of five is looked at.
            for _ in range(5):
                writer.put(picture.tobytes())
            records = records or self.attach("ext.centroid_tracking.events", policy="sequential", wait=SOON)
            seen += [records.next(timeout=SOON) for _ in range(2)]
        tracks = {}
        for record in seen:
            self.assertEqual(record.id, f"track-{record.data['track']}")
            tracks.setdefault(record.data["track"], []).append((record.data["x"], record.data["y"]))
        moving, still = sorted(tracks.values(), key=lambda track: track[0][1])
        self.assertEqual(moving, [(24.0, 24.0), (32.0, 24.0), (40.0, 24.0)])
        self.assertEqual(still, [(104.0, 72.0)] * 3)
        boxes = [record.data["box"] for record in seen if record.data["y"] == 72.0]
        self.assertEqual(boxes, [[96, 64, 16, 16]] * 3)
        self.stop(child)

    def test_colour_key(self):
        studio = shmring.publish("studio.frames", shape=(32, 64, 3), project=self.project)
        self.addCleanup(studio.close)
        child = self.run_example("colour_key.py", "studio.frames", "cut.frames", "--key", "0,177,64")
        until(lambda: self.readers("studio.frames"))
        picture = numpy.full((32, 64, 3), (10, 170, 60), numpy.uint8)
        picture[:, 32:] = (200, 30, 40)
        studio.write(picture)
        cut = self.attach("cut.frames", wait=SOON).next(timeout=SOON)
        array = cut.numpy()
        self.assertEqual((cut.format, array.shape, cut.id.ring), ("rgba", (32, 64, 4), "studio.frames"))
        self.assertTrue((array[:, :32, 3] == 0).all() and (array[:, 32:, 3] == 255).all())
        self.assertEqual(array[0, 40].tolist(), [200, 30, 40, 255])
        self.stop(child)

    @unittest.skipUnless(importlib.util.find_spec("cv2"), "skipped: no OpenCV (apt install python3-opencv)")
    def test_opencv_motion(self):
        writer = self.paint(size=(160, 120))
        child = self.run_example("opencv_motion.py", "cam1.frames")
        until(lambda: self.readers())
        ground = numpy.full((120, 160), 60, numpy.uint8)

        def put(picture):
            writer.put(picture.tobytes())
            until(lambda: not self.row()["readers"][0]["lag"])

        for _ in range(10):
            put(ground)
        moved = ground.copy()
        moved[40:80, 50:100] = 220
        put(moved)
        record = self.attach("ext.opencv_motion.events", policy="sequential", wait=SOON).next(timeout=SOON)
        self.assertEqual((record.kind, record.frame.sequence), ("motion", 11))
        (box,) = record.data["boxes"]
        self.assertTrue(box["x"] <= 50 and box["y"] <= 40 and box["x"] + box["w"] >= 100 and box["y"] + box["h"] >= 80)
        self.stop(child)

    @unittest.skipIf(importlib.util.find_spec("cv2"), "OpenCV is here")
    def test_opencv_motion_says_what_is_missing(self):
        child = self.run_example("opencv_motion.py", "cam1.frames")
        _, complaints = child.communicate()
        self.assertIn("needs OpenCV", complaints)
        self.assertEqual(child.returncode, 1)

    def test_onnx_detection(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "onnxruntime.py").write_text(ONNX_RUNTIME)
            writer = self.paint("rgb24", (128, 64))
            path = os.pathsep.join([folder, os.environ["PYTHONPATH"]])
            child = self.run_example("onnx_detection.py", "cam1.frames", "--model", "x.onnx", PYTHONPATH=path)
            until(lambda: child.poll() is not None or self.readers())
            writer.put(bytes([255]) * (128 * 64 * 3))
            record = self.attach("ext.onnx_detection.events", policy="sequential", wait=SOON).next(timeout=SOON)
            # 128x64 stands in 64x64 half as large, sixteen lines from the top.
            box = {"x": 64, "y": 24, "w": 32, "h": 16, "label": "lamp", "score": 0.9}
            self.assertEqual(record.data, {"boxes": [box], "width": 128, "height": 64})
            self.assertEqual((record.kind, record.frame.sequence), ("detection", 1))
            _, complaints = self.stop(child)
            self.assertNotIn("Error", complaints)

    @unittest.skipUnless(importlib.util.find_spec("onnxruntime"), "skipped: no ONNX Runtime (pip install onnxruntime)")
    def test_onnx_detection_runs_a_model(self):
        model = SOURCES / "workers/detect/models/shapes.onnx"
        writer = self.paint("rgb24", (320, 240))
        child = self.run_example("onnx_detection.py", "cam1.frames", "--sure", 0.01, MODEL=str(model))
        until(lambda: child.poll() is not None or self.readers())
        picture = numpy.full((240, 320, 3), 40, numpy.uint8)
        picture[60:140, 100:200] = (220, 60, 60)
        writer.put(picture.tobytes())
        record = self.attach("ext.onnx_detection.events", policy="sequential", wait=SOON).next(timeout=SOON)
        self.assertLessEqual({box["label"] for box in record.data["boxes"]}, {"box", "disc", "triangle"})
        self.stop(child)

    @unittest.skipIf(importlib.util.find_spec("onnxruntime"), "ONNX Runtime is here")
    def test_onnx_detection_says_what_is_missing(self):
        child = self.run_example("onnx_detection.py", "cam1.frames", "--model", "x.onnx")
        _, complaints = child.communicate()
        self.assertEqual((complaints.count("\n"), child.returncode), (1, 1))
        self.assertIn("needs ONNX Runtime: pip install onnxruntime", complaints)

    def test_streamview(self):
        child = self.run_example("streamview.py", "ext.sim.frames", 150)
        frames = self.attach("ext.sim.frames", policy="sequential", wait=SOON)
        frame = frames.next(timeout=SOON)
        self.assertEqual((frame.numpy().shape, frame.format), ((480, 640, 3), "rgb24"))
        # Thirty a second, told with each picture; the ball is as large as it is.
        self.assertAlmostEqual(frame.duration, 1 / 30, places=4)
        self.assertGreater(int((frame.numpy() == (255, 190, 40)).all(axis=2).sum()), 1700)
        metrics = self.attach("ext.streamview.events", policy="sequential", wait=SOON)
        metric = metrics.next(timeout=SOON)
        self.assertEqual((metric.kind, metric.camera), ("metric", "sim"))
        self.assertEqual(sorted(metric.data), ["energy", "height", "speed"])
        self.assertEqual(metric.frame.ring, "ext.sim.frames")
        _, complaints = child.communicate()
        self.assertEqual((complaints, child.returncode), ("", 0))

    def test_stereo(self):
        names = ["left.frames", "right.frames"]
        outs = [shmring.publish(name, shape=(96, 256), project=self.project) for name in names]
        for out in outs:
            self.addCleanup(out.close)
        child = self.run_example("stereo.py", *names, "--focal", 820, "--baseline", 0.12)
        until(lambda: all(self.readers(name) for name in names))
        # Squares of eight pixels, and the right camera sees them eight pixels farther left.
        squares = numpy.random.default_rng(1).integers(0, 255, (12, 32), dtype=numpy.uint8)
        left = squares.repeat(8, axis=0).repeat(8, axis=1)
        left[:32, :64] = 90
        for late, (out, picture) in enumerate(zip(outs, [left, numpy.roll(left, -8, axis=1)])):
            out.write(picture, time=1.8e9 + late / 200)
        record = self.attach("ext.stereo.events", policy="sequential", wait=SOON).next(timeout=SOON)
        self.assertEqual((record.kind, record.frame.ring, record.data["skew_ms"]), ("stereo", "left.frames", 5.0))
        self.assertEqual(record.data["disparity"], [[None, 8, 8, 8], [8, 8, 8, 8], [8, 8, 8, 8]])
        self.assertEqual((record.data["metres"][0], record.data["nearest"]), ([None, 12.3, 12.3, 12.3], 12.3))
        self.stop(child)

    def test_two_cameras(self):
        outs = [shmring.publish(name, shape=(4, 4), project=self.project) for name in ["hall-1.frames", "hall-2.frames"]]
        for out in outs:
            self.addCleanup(out.close)
        child = self.run_example("two_cameras.py", "hall-*")
        until(lambda: all(self.readers(out.name) for out in outs))
        for late, out in enumerate(outs):
            out.write(numpy.zeros((4, 4), numpy.uint8), time=1.8e9 + late / 100)
        self.assertEqual(child.stdout.readline(), "hall-1.frames 1, hall-2.frames 1: 10.0 ms apart\n")
        self.stop(child)

    def test_video_capture(self):
        writer = self.paint("rgb24", (64, 32))
        writer.put(bytes([10, 20, 30]) * (64 * 32))
        child = self.run_example("video_capture.py", "cam1", 1)
        said, complaints = child.communicate()
        self.assertEqual((said, complaints), ("64x32\nblue 30 green 20 red 10\n", ""))

    @unittest.skipUnless(importlib.util.find_spec("PySide6"), "skipped: no PySide6")
    def test_qt_viewer(self):
        from PySide6.QtGui import QImage

        # Rows with padding and without, in colours and luma.
        for size, format, colour in [((64, 32), "rgb24", []), ((100, 50), "rgb24", []), ((64, 32), "yuv420p", ["--colour"])]:
            with self.subTest(size=size, format=format), tempfile.TemporaryDirectory() as folder:
                ring, kept = f"{format}-{size[0]}.frames", os.path.join(folder, "shown.png")
                writer = self.paint(format, size, ring=ring)
                options = ["--pictures", 2, "--save", kept, *colour]
                child = self.run_example("qt_viewer.py", ring, *options, QT_QPA_PLATFORM="offscreen")
                until(lambda: self.readers(ring))
                packed = format == "rgb24"
                picture = bytes([200, 40, 60] if packed else [102]) * (size[0] * size[1] * (2 if packed else 1) * 3 // 2)
                for _ in range(2):
                    writer.put(picture)
                    until(lambda: child.poll() is not None or not self.row(ring)["readers"][0]["lag"])
                _, complaints = child.communicate()
                self.assertEqual(child.returncode, 0, complaints)
                expected = tuple(self.attach(ring).next(timeout=SOON).rgb()[0, 0].tolist())
                shown = QImage(kept)
                middle = shown.pixelColor(shown.width() // 2, shown.height() // 2).getRgb()[:3]
                self.assertEqual(middle, expected)



if __name__ == "__main__":
    unittest.main()
