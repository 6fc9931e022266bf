"""The operations on PyTorch tensors, without torch.nn and without its gradients.

`array_api_compat.torch` makes the tensors speak the array standard, so the reference runs as it is.
docs/backend.md says how to write such a backend for another array module.
"""

import numpy as np

from lenet_xp.ops.reference import Array, Ops


class TorchOps(Ops):
    """The operations on tensors of a device: "cpu", "cuda", "mps" or "xpu".

    Raises ImportError without torch and array-api-compat, RuntimeError for a device that is not
    there.
    """

    def __init__(self, dtype: str = "float32", device: str = "cpu"):
        import array_api_compat.torch as xp
        import torch

        super().__init__(xp, dtype, torch.device(device))
        self.name = "torch" if device == "cpu" else f"torch:{device}"
        self._torch, self._kind = torch, device

    @property
    def device_name(self) -> str:
        if self._kind == "cuda":
            return str(self._torch.cuda.get_device_name(self.device))
        return self._kind

    def sibling(self) -> "TorchOps":
        return TorchOps(self.dtype_name, self._kind)

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # pickle takes no modules
        return TorchOps, (self.dtype_name, self._kind)

    def to_host(self, array: Array) -> np.ndarray:
        host: np.ndarray = array.cpu().numpy()
        return host.copy()

    def synchronize(self) -> None:
        if self._kind != "cpu":
            getattr(self._torch, self._kind).synchronize()

    def use_device(self, number: int) -> None:
        if self._kind in ("cuda", "xpu"):
            module = getattr(self._torch, self._kind)
            module.set_device(number % module.device_count())
