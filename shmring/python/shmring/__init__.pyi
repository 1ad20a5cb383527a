"""Named rings in shared memory: pictures, packets and records of a framevisor project."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Literal, NamedTuple, TypeVar, final, overload

import numpy
from numpy.typing import NDArray

__all__: list[str]

_Item = TypeVar("_Item", covariant=True)
_Ring = TypeVar("_Ring", bound="Ring[Any]")
_Bytes = NDArray[numpy.uint8]
_Picture = NDArray[Any] | tuple[_Bytes, ...] | list[_Bytes]

def attach(
    name: str | None = None,
    project: str | None = None,
    policy: str | None = None,
    reader: str | None = None,
    max_fps: int | None = None,
    wait: float | None = None,
    *,
    every: int = 1,
    since: tuple[int, int] | FrameId | None = None,
    hold: int | None = None,
    strict: bool = False,
    key_only: bool = False,
    messages: bool = False,
) -> Any:
    """Attach to a ring: a FrameRing, PacketRing or RecordRing, as the last part of `name` says. Without a name
    it is the first ring of FRAMEVISOR_IN.

    An absent ring is waited for, `wait` seconds at most. Without `wait` a worker of framevisor waits
    for ever (its ring's writer may start later), any other program not at all.

    `hold` is how many frames the program keeps at once, if more than two: it takes another of the ring's
    places for every two, and is refused when they are taken.

    `key_only` takes only pictures that need no other one; a decoder all of whose readers say so decodes
    nothing else.

    `messages`: what `framevisor send` says to this worker comes among the items, as a Message, through the same
    calls and the same descriptor, and loops end when the worker is told to stop.

    `policy` is "latest", "sequential" or, for rings of frames, "every N"; "essential" reads in turn too.

    Without `project`: FRAMEVISOR_PROJECT, else the only project on this machine with such a ring.
    """

def rings(project: str | None = None) -> list[dict[str, Any]]:
    """All rings of a project, or of every project on this machine."""

def wait(rings: Sequence[Ring[Any]], timeout: float | None = None) -> list[Ring[Any]]:
    """Those of `rings` that have something, waited for `timeout` seconds at most; none is no error.

    What a ring has may be other than an item, so that its `next(timeout=0)` gives None.
    """

def sync(
    names: str | Sequence[str],
    tolerance: str | float = "40ms",
    *,
    project: str | None = None,
    policy: str | None = None,
    reader: str | None = None,
    wait: float | None = None,
) -> FrameSet:
    """Read frame rings together, in groups of pictures taken within `tolerance` of each other.

    `names` is a list of rings or a pattern; "hall-*" is all of them that there are now.
    """

def emit(
    ring: FrameRing | PacketRing | RecordRing | str | None,
    kind: str,
    data: Any,
    at: Frame | None = None,
    *,
    camera: str | None = None,
    id: str | None = None,
    project: str | None = None,
) -> int:
    """Append a record and give its number.

    `ring` is the name of a ring of events; or None or a ring this program reads, and then the
    record goes to the event ring of FRAMEVISOR_OUT, outside of a topology to `ext.<script>.events`.
    """

@overload
def publish(
    name: str | None = None,
    like: _Picture | None = None,
    *,
    shape: Sequence[int] | None = None,
    format: str | None = None,
    dtype: Any = None,
    fps: float | None = None,
    source: str | None = None,
    project: str | None = None,
    readers: int = 4,
    essential: Mapping[str, str | float] = {},
) -> FrameWriter:
    """Become the writer of a ring of frames or packets; `name` None is the one of FRAMEVISOR_OUT.

    Pictures are as `like` (an array or a tuple of planes), or of `shape`, or as the first one written;
    `format` tells what shapes alone do not, such as "bgr24" or "yuv420p". What is no picture is a
    tensor, and so is everything of a given `dtype`. Packets need a `codec`, and
    for video a `size`. `source` names the ring whose pictures this one's are made from, `essential`
    the readers that may fall behind by so much before anything they have not taken is overwritten.
    """

@overload
def publish(
    name: str,
    *,
    codec: str,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    extradata: bytes = b"",
    max_bitrate: str | None = None,
    project: str | None = None,
    readers: int = 4,
    essential: Mapping[str, str | float] = {},
) -> PacketWriter: ...

class FrameId(NamedTuple):
    """Where a picture entered the system: the same in every ring, record and recording."""

    ring: str
    epoch: int
    sequence: int

@final
class Plane:
    """Memory of a picture; `memoryview(plane)` and `numpy.asarray(plane)` copy nothing."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

@final
class Frame:
    """A picture or tensor whose bytes do not change while it, or any view of it, lives."""

    @property
    def seq(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def pts(self) -> float:
        """Presentation time in the source, in seconds."""
    @property
    def duration(self) -> float:
        """How long it is to be shown, in seconds; 0 when that is not known."""
    @property
    def time(self) -> float:
        """Capture time, in seconds UTC."""
    @property
    def age_ms(self) -> float: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def format(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]:
        """That of `numpy()`."""
    @property
    def dtype(self) -> str:
        """Type of the elements of `numpy()`, by numpy's name."""
    @property
    def key(self) -> bool: ...
    @property
    def corrupt(self) -> bool: ...
    @property
    def user(self) -> bytes:
        """What the writer says of it in its own way, 64 bytes."""
    @property
    def missed(self) -> int:
        """Frames lost to this reader just before this one."""
    @property
    def format_change(self) -> bool:
        """Whether it is of another size or format than the one this ring gave before."""
    @property
    def id(self) -> FrameId: ...
    @property
    def source_seq(self) -> int | None: ...
    @property
    def planes(self) -> tuple[Plane, ...]: ...
    def numpy(self) -> NDArray[Any]:
        """Read-only, not copied: H x W x C for packed formats, the luma plane for planar ones, all of
        a tensor. On a device it raises OnDevice: see `copy()` and `__dlpack__`."""
    def rgb(self) -> _Bytes:
        """A copy, H x W x 3: red, green, blue."""
    def bgr(self) -> _Bytes:
        """A copy, H x W x 3: blue, green, red, as OpenCV has it."""
    def copy(self) -> NDArray[Any]:
        """What `numpy()` shows, as an array of the program's own; fetched from a device if it lies there."""
    @property
    def device(self) -> str | None:
        """The device that it lies on, as `nvidia-smi -L` calls it; None in the machine's memory."""
    @property
    def lost(self) -> bool:
        """Whether its device's memory went with its writer: what was read since then is nobody's word."""
    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """For `torch.from_dlpack(f)` and its like: not copied, read-only, keeping the picture."""
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def release(self) -> None: ...
    def __enter__(self) -> Frame: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

@final
class Packet:
    """An encoded packet."""

    @property
    def seq(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def id(self) -> FrameId:
        """Which packet it is, in every ring, record and recording: of a replayed one, which it was."""
    @property
    def track(self) -> int: ...
    @property
    def key(self) -> bool: ...
    @property
    def pts(self) -> float: ...
    @property
    def dts(self) -> float: ...
    @property
    def time(self) -> float: ...
    @property
    def age_ms(self) -> float: ...
    @property
    def missed(self) -> int: ...
    @property
    def data(self) -> bytes: ...

@final
class Message:
    """What somebody said with `framevisor send`, who waits 10 s for an answer."""

    @property
    def data(self) -> Any:
        """Any JSON value, as it was sent."""
    def reply(self, data: Any = None) -> None:
        """Answer it, with any JSON value."""
    def refuse(self, why: str) -> None:
        """Answer that it cannot be done, and why, in one line."""

@final
class Record:
    """What happened, on which camera, at which picture."""

    @property
    def seq(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def missed(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def camera(self) -> str: ...
    @property
    def frame(self) -> FrameId | None: ...
    @property
    def time(self) -> float: ...
    @property
    def data(self) -> Any: ...

class Ring(Generic[_Item]):
    """An attached ring; iterating waits for what comes next and never ends by itself."""

    @property
    def name(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def lag(self) -> int: ...
    @property
    def missed(self) -> int: ...
    @property
    def unread(self) -> int:
        """Payloads of a record ring that were no records."""
    @property
    def live(self) -> bool: ...
    @property
    def info(self) -> dict[str, Any]: ...
    @overload
    def next(self, timeout: None = None) -> _Item: ...
    @overload
    def next(self, timeout: float) -> _Item | None: ...
    @overload
    async def anext(self, timeout: None = None) -> _Item: ...
    @overload
    async def anext(self, timeout: float) -> _Item | None: ...
    @property
    def evicted(self) -> str | None:
        """Why this reader, an essential one, was let go of last."""
    @property
    def semaphore(self) -> Semaphore: ...
    def fileno(self) -> int:
        """A descriptor that is readable until `next(timeout=0)` gives None; for select and its like."""
    def emit(
        self,
        kind: str,
        data: Any,
        at: Frame | None = None,
        *,
        camera: str | None = None,
        id: str | None = None,
    ) -> int:
        """Append a record about `at` to this program's own ring of events, and give its number."""
    def condition(
        self, condition: Literal["flowing", "waiting", "degraded", "parked"], why: str = ""
    ) -> None:
        """Say how this worker does, for `framevisor ps`; needs `messages=True`."""
    def close(self) -> None: ...
    def __iter__(self: _Ring) -> _Ring: ...
    def __next__(self) -> _Item: ...
    def __aiter__(self: _Ring) -> _Ring: ...
    async def __anext__(self) -> _Item: ...
    def __enter__(self: _Ring) -> _Ring: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

@final
class FrameRing(Ring[Frame]): ...
@final
class PacketRing(Ring[Packet]): ...
@final
class RecordRing(Ring[Record]): ...

class FrameGroup(dict[str, Frame | None]):
    """Ring name -> frame, None for a camera that has no picture in it."""

    skew: float
    """Seconds between its oldest picture and its newest."""
    def __init__(
        self, names: Sequence[str], frames: Sequence[Frame | None], skew: float
    ) -> None: ...
    @property
    def missing(self) -> tuple[str, ...]: ...

class FrameSet:
    """Rings read together; an iterator of groups that never ends by itself. Made by `sync`."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def missed(self) -> int: ...
    @overload
    def next(self, timeout: None = None) -> FrameGroup: ...
    @overload
    def next(self, timeout: float) -> FrameGroup | None: ...
    def close(self) -> None: ...
    def __iter__(self) -> FrameSet: ...
    def __next__(self) -> FrameGroup: ...
    def __enter__(self) -> FrameSet: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

@final
class Semaphore:
    """How many items a ring holds for this reader; `ring.next()` is what takes one."""

    @property
    def count(self) -> int: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def try_wait(self) -> bool: ...
    def wait_until(self, deadline: float) -> bool:
        """Until the clock of `time.monotonic()` shows `deadline`."""

class VideoCapture:
    """`shmring.VideoCapture("cam1")` in place of `cv2.VideoCapture(url)`; needs no OpenCV."""

    def __init__(
        self,
        name: str | None = None,
        project: str | None = None,
        policy: Literal["latest", "sequential"] = "latest",
    ) -> None: ...
    def open(
        self,
        name: str,
        project: str | None = None,
        policy: Literal["latest", "sequential"] = "latest",
    ) -> bool: ...
    def isOpened(self) -> bool: ...
    def grab(self) -> bool: ...
    def retrieve(self, image: _Bytes | None = None, flag: int = 0) -> tuple[bool, _Bytes | None]: ...
    def read(self, image: _Bytes | None = None) -> tuple[bool, _Bytes | None]: ...
    def get(self, propId: int) -> float: ...
    def set(self, propId: int, value: float) -> bool: ...
    def setExceptionMode(self, enable: bool) -> None: ...
    def getExceptionMode(self) -> bool: ...
    def getBackendName(self) -> str: ...
    def release(self) -> None: ...

@final
class FrameWriter:
    """The writer of a frame ring: one a ring, from `publish` until it is closed or its program ends."""

    @property
    def name(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def epoch(self) -> int:
        """Number of this writer's life: another one each time its program starts."""
    @property
    def seq(self) -> int:
        """Number of the newest picture written; 0 before the first."""
    @property
    def readers(self) -> int: ...
    @property
    def info(self) -> dict[str, Any]: ...
    def write(
        self,
        picture: _Picture,
        *,
        pts: float | None = None,
        time: float | None = None,
        at: Frame | None = None,
        key: bool = True,
    ) -> int:
        """Publish a picture, copied once: an array, or a tuple of planes. Gives its number."""
    def slot(
        self,
        *,
        pts: float | None = None,
        time: float | None = None,
        at: Frame | None = None,
        key: bool = True,
    ) -> Slot:
        """A slot of the ring to fill in place; needs a known size."""
    def emit(self, kind: str, data: Any) -> int:
        """Append a record about the newest picture to the event ring that `shmring.emit` writes."""
    def metric(self, **values: Any) -> int:
        """Append a record of kind "metric" about the newest picture."""
    def close(self) -> None: ...
    def __enter__(self) -> FrameWriter: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

@final
class Slot:
    """A slot on loan: a writable array, or for planar formats a tuple of them, published at the end of
    the block unless an exception ends it. Afterwards the array shows zeros, and what is written to it
    reaches nobody."""

    def __enter__(self) -> Any: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

@final
class PacketWriter:
    """The writer of a packet ring: one a ring, from `publish` until it is closed or its program ends."""

    @property
    def name(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def info(self) -> dict[str, Any]: ...
    def write(
        self,
        data: bytes | bytearray,
        *,
        key: bool | None = None,
        pts: float | None = None,
        dts: float | None = None,
        time: float | None = None,
    ) -> int:
        """Publish an access unit and give its number; `key`: whether decoding can start here."""
    def close(self) -> None: ...
    def __enter__(self) -> PacketWriter: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

class Error(Exception): ...
class Ambiguous(Error): ...
class BadRecord(Error): ...
class Closed(Error): ...
class Damaged(Error): ...
class Denied(Error): ...
class Ended(Error): ...
class Evicted(Error):
    reason: str

class Forked(Error): ...
class HasWriter(Error): ...
class LayoutMismatch(Error): ...
class NoDevice(Error): ...
class NoFreeSlot(Error): ...
class NoLease(Error): ...
class NoPlace(Error): ...
class NoSpace(Error): ...
class NoSuchRing(Error): ...
class OnDevice(Error): ...
class Overrun(Error):
    missed: int

class WriterLost(Error): ...

class WriterRestarted(Error):
    epoch: int
    info: dict[str, Any]

class WrongKind(Error): ...
