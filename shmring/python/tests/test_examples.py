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

from ringtest import SOON, RingTest, gray, until

EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "scripts" / "examples"
TESTED = {
    "asyncio_reader.py", "mean.py", "publish_frames.py", "qt_viewer.py", "two_cameras.py", "video_capture.py"
}  # fmt: skip


#: Of the control module, which is tested with the supervisor, and of a whole chain of workers.
OF_OTHERS = {"marks.py", "sixteen.py"}


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
