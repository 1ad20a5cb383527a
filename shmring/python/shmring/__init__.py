"""Named rings in shared memory: pictures, packets and records of a framevisor project."""

from . import _native
from ._capture import VideoCapture
from ._native import *
from ._sync import FrameGroup, FrameSet, sync

__all__ = [name for name in _native.__all__ if not name.startswith("_")]
__all__ += ["FrameGroup", "FrameSet", "VideoCapture", "sync"]
__version__ = _native.__version__
