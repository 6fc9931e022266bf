"""The one place OpenCV is imported: `from lenet_xp.opencv import cv2`."""

import os

from lenet_xp.errors import InputError

# OpenCV reads this once, while it is imported. Whatever it would print about a bad image is
# found out and said by lenet_xp itself, in one line that names the file; a level the user has
# chosen stays.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

try:
    import cv2
except ImportError as error:
    raise InputError(
        f"OpenCV cannot be loaded ({str(error).splitlines()[0]}): "
        "apt-get install libgl1 libglib2.0-0 libxcb1, or without these libraries: "
        "pip install --force-reinstall --no-deps opencv-python-headless"
    ) from error

__all__ = ["cv2"]
