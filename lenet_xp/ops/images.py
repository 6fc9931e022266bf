"""The part of the array contract that turns pictures into the network's input."""

from typing import Any

import numpy as np

Array = Any


class Images:
    """Pictures in bytes to input arrays, in the portable style of `reference.Ops`, which has it."""

    xp: Any
    dtype: Any
    device: Any

    def resident(self, images: np.ndarray) -> Array | None:
        """(M, S, T) uint8 images kept where the device has them at hand for `image_batch`.

        None where nothing is won: the device is the host, or they are too many.
        """
        return None

    def image_batch(
        self, images: Array, scale: float, shift: float, chosen: np.ndarray | None = None
    ) -> Array:
        """(N, S, T) uint8 images as the network's input (1, S, T, N): scale * pixel + shift.

        chosen (N,) int64 on the host: take these of `images`, which `resident` gave unless that
        was None.
        """
        images = images if chosen is None else images[chosen]
        count, height, width = images.shape
        pixels = self.xp.permute_dims(self.xp.asarray(images, device=self.device), (1, 2, 0))
        x = self.xp.astype(pixels, self.dtype) * scale + shift
        return self.xp.reshape(x, (1, height, width, count))

    def warped_batch(
        self,
        images: Array,
        scale: float,
        shift: float,
        chosen: np.ndarray,
        coefficients: np.ndarray,
        basis: Array,
    ) -> Array:
        """`image_batch` of the chosen images (S, S), each moved by a map of its own.

        coefficients (2, N, F) float32 on the host, basis (F, S * S): coefficients @ basis says,
        measured from the image's centre, the x and the y that each target pixel comes from. What
        lies there is fetched bilinearly, with paper (0) around the image, and rounded to a level.
        """
        xp, (count, size) = self.xp, (len(chosen), images.shape[1])
        pixels = xp.reshape(xp.asarray(images[chosen], device=self.device), (-1,))
        whole, rest = zip(*(self._places(c, basis, size) for c in coefficients), strict=True)
        first = xp.arange(count, dtype=xp.int64, device=self.device)[:, None] * size**2

        def pixel(down: int, right: int) -> Array:
            row, col = whole[1] + down, whole[0] + right
            inside = (row >= 0) & (row < size) & (col >= 0) & (col < size)
            place = xp.where(inside, first + row * size + col, 0 * row)
            level = xp.reshape(xp.take(pixels, xp.reshape(place, (-1,))), place.shape)
            return xp.astype(xp.where(inside, level, 0 * level), self.dtype)

        above, below = (
            pixel(down, 0) + rest[0] * (pixel(down, 1) - pixel(down, 0)) for down in (0, 1)
        )
        level = xp.permute_dims(xp.round(above + rest[1] * (below - above)), (1, 0))
        return xp.reshape(level * scale + shift, (1, size, size, count))

    def _places(self, coefficients: np.ndarray, basis: Array, size: int) -> tuple[Array, Array]:
        """Along one axis, the pixel before each place that is fetched, and how far behind it lies.

        Both are (N, S * S); places off the paper count as on its rim.
        """
        xp = self.xp
        maps = xp.asarray(coefficients, dtype=self.dtype, device=self.device)
        place = xp.clip(xp.matmul(maps, basis) + (size - 1) / 2, -1.0, float(size))
        whole = xp.floor(place)
        return xp.astype(whole, xp.int64), place - whole
