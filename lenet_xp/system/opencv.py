"""The one place that imports OpenCV: `from lenet_xp.system.opencv import cv2`."""

from lenet_xp.errors import InputError

try:
    import cv2 as cv2
except ImportError as error:
    raise InputError(
        f"OpenCV cannot be loaded ({str(error).splitlines()[0]}): "
        "pip uninstall opencv-python opencv-python-headless, then pip install "
        "opencv-python-headless; or apt-get install libgl1 libglib2.0-0 libxcb1"
    ) from error
