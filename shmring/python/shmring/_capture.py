"""A ring in the shape of OpenCV's VideoCapture, for programs written for that. OpenCV is not needed."""

from ._native import Error, attach

# As OpenCV's own FFmpeg backend.
_TIMEOUT_S = 30.0

# The numbers of cv2.CAP_PROP_*.
_POS_MSEC, _POS_FRAMES, _WIDTH, _HEIGHT, _FPS, _COUNT, _FORMAT = 0, 1, 3, 4, 5, 7, 8
_OPEN_TIMEOUT_MSEC, _READ_TIMEOUT_MSEC = 53, 54
_CV_8UC3 = 16


class VideoCapture:
    """`shmring.VideoCapture("cam1")` in place of `cv2.VideoCapture(url)`: `read` gives the newest picture
    as an array of blue, green and red that is the program's own.

    What differs: with the policy "latest" no picture is stale, however slow the program is, and
    CAP_PROP_POS_MSEC is the picture's true time in its source."""

    def __init__(self, name=None, project=None, policy="latest"):
        self._raises = False
        self._open_s = self._read_s = _TIMEOUT_S
        self._clear()
        if name is not None:
            self.open(name, project, policy)

    def open(self, name, project=None, policy="latest"):
        """Whether there is such a ring with a picture in it; both are waited for."""
        self.release()
        ring = name if name.endswith(".frames") else f"{name}.frames"
        try:
            self._ring = attach(ring, project, policy, wait=self._open_s)
            # Sizes are asked for before the first read.
            self._frame = self._ring.next(timeout=self._open_s)
        except Error:
            self.release()
            if self._raises:
                raise
        if self._frame is None:
            self.release()
            return False
        self._ahead, self._skips = True, policy == "latest"
        self._first = (self._frame.seq, self._frame.pts)
        return True

    def isOpened(self):
        return self._ring is not None

    def grab(self):
        """Takes the next picture without converting it. False when there was none in time."""
        if self._ring is None:
            return False
        if self._ahead:
            self._ahead = False
            newer = self._next(0) if self._skips else None
            self._frame = newer or self._frame
        else:
            # Lets go of the one before.
            self._frame = None
            self._frame = self._next(self._read_s)
        self._grabbed += self._frame is not None
        return self._frame is not None

    def _next(self, timeout):
        try:
            return self._ring.next(timeout=timeout)
        except Error:
            if self._raises:
                raise
            return None

    def retrieve(self, image=None, flag=0):
        """The picture grabbed last; written into `image` when that is given."""
        if self._frame is None or self._ahead:
            return False, None
        picture = self._frame.bgr()
        if image is not None:
            image[...] = picture
            picture = image
        return True, picture

    def read(self, image=None):
        return self.retrieve(image) if self.grab() else (False, None)

    def get(self, propId):
        """A property by its number in OpenCV; 0 when it is not known."""
        own = {_OPEN_TIMEOUT_MSEC: self._open_s * 1000, _READ_TIMEOUT_MSEC: self._read_s * 1000}
        frame = self._frame
        if propId in own or frame is None:
            return own.get(propId, 0.0)
        known = {
            _POS_MSEC: frame.pts * 1000,
            _POS_FRAMES: self._grabbed,
            _WIDTH: frame.width,
            _HEIGHT: frame.height,
            _FPS: self._fps(frame),
            # As many as there will be.
            _COUNT: -1,
            _FORMAT: _CV_8UC3,
        }
        return float(known.get(propId, 0))

    def _fps(self, frame):
        if frame.duration > 0:
            return 1 / frame.duration
        seq, pts = self._first
        return (frame.seq - seq) / (frame.pts - pts) if frame.pts > pts else 0

    def set(self, propId, value):
        """True for the two timeouts. What a camera is asked for stands in the topology."""
        if propId == _OPEN_TIMEOUT_MSEC:
            self._open_s = value / 1000
        elif propId == _READ_TIMEOUT_MSEC:
            self._read_s = value / 1000
        else:
            return False
        return True

    def setExceptionMode(self, enable):
        """Whether trouble is raised as `shmring.Error` instead of answered with False."""
        self._raises = enable

    def getExceptionMode(self):
        return self._raises

    def getBackendName(self):
        return "SHMRING"

    def release(self):
        if self._ring is not None:
            self._ring.close()
        self._clear()

    def _clear(self):
        self._ring = self._frame = None
        # A picture is taken already that no grab has given.
        self._ahead = False
        self._skips = True
        # Its number and time: no picture is kept for it.
        self._first = (0, 0.0)
        self._grabbed = 0
