"""How the work of a dense layer is cut into blocks and threads on a GPU."""

from dataclasses import dataclass

from lenet_xp.ops.kernels import LANES, cuts

EDGE = 32  # of the tiles of the weights' gradient in dense.cu
MANY = 256  # images from which on blocks abound, and threads may do more each


@dataclass(frozen=True)
class DensePlan:
    """The grids of a dense layer's kernels for weights (outputs, inputs) and `count` images."""

    outputs: int
    inputs: int
    count: int

    @property
    def tile(self) -> int:
        """Rows to a thread."""
        return 8 if self.count > MANY else 2

    @property
    def forward_grid(self) -> tuple[int, int]:
        return cuts(self.outputs, self.tile), cuts(self.count, LANES)

    @property
    def weight_blocks(self) -> int:
        return cuts(self.outputs, EDGE) * cuts(self.inputs, EDGE)

    @property
    def input_blocks(self) -> int:
        return cuts(self.inputs, self.tile) * cuts(self.count, LANES)
