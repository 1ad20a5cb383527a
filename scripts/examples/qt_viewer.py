#!/usr/bin/env python3
"""A ring in a window: qt_viewer.py cam1.frames    (pip install PySide6)

Qt watches the ring's descriptor and paints the picture where it lies in shared memory: nothing is copied
and nothing is polled. Planar formats show their luma, or all their colours, converted, with --colour.
--pictures N ends after so many, --save FILE keeps what the window showed then."""
import argparse
import signal

import numpy
import shmring
from PySide6.QtCore import QSocketNotifier, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QApplication, QWidget

FORMATS = {
    "rgb24": QImage.Format.Format_RGB888,
    "bgr24": QImage.Format.Format_BGR888,
    "rgba": QImage.Format.Format_RGBA8888,
}


class Viewer(QWidget):
    def __init__(self, ring, options):
        super().__init__()
        self.ring, self.options = ring, options
        self.image = self.array = None
        self.shown = 0
        self.resize(640, 360)
        self.setWindowTitle(ring.name)
        self.notifier = QSocketNotifier(ring.fileno(), QSocketNotifier.Type.Read, self)
        self.notifier.activated.connect(self.take)

    def take(self):
        # Until there is nothing more: only then is the descriptor quiet.
        while (frame := self.ring.next(timeout=0)) is not None:
            self.show_frame(frame)

    def show_frame(self, frame):
        if self.options.colour and frame.format not in FORMATS:
            array, format = frame.rgb(), FORMATS["rgb24"]
        else:
            array, format = frame.numpy(), FORMATS.get(frame.format, QImage.Format.Format_Grayscale8)
        # Qt wants rows side by side; most sizes have no padding, and then this copies nothing.
        array = numpy.ascontiguousarray(array)
        self.image = QImage(array.data, frame.width, frame.height, array.strides[0], format)
        # The array keeps the picture leased while Qt may look at it; the one before it goes here.
        self.array = array
        self.shown += 1
        self.update()
        if self.shown == self.options.pictures:
            self.end()

    def end(self):
        if self.options.save and not self.grab().save(self.options.save):
            print(f"{self.options.save}: cannot be written")
        self.close()

    def paintEvent(self, _event):
        if self.image is not None:
            painter = QPainter(self)
            scaled = self.image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
            area = self.rect()
            area.setSize(scaled)
            area.moveCenter(self.rect().center())
            painter.drawImage(area, self.image)


def main():
    parser = argparse.ArgumentParser(description="A ring in a window.")
    parser.add_argument("ring")
    parser.add_argument("--colour", action="store_true")
    parser.add_argument("--pictures", type=int)
    parser.add_argument("--save", metavar="FILE")
    options = parser.parse_args()
    # Ctrl-C ends Qt's loop.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    app = QApplication([])
    with shmring.attach(options.ring) as ring:
        viewer = Viewer(ring, options)
        viewer.show()
        app.exec()


if __name__ == "__main__":
    main()
