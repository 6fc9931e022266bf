"""The command `export`: write a saved model as ONNX or safetensors."""

from lenet_xp.commands.terminal import add_model_option, parser, path
from lenet_xp.errors import InputError
from lenet_xp.export import check_format, export_model
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.system.streams import tell

EXAMPLES = """\
  lenet-xp export --to letters.onnx
      the package's own model, from preprocessed uint8 images to probabilities
  lenet-xp export runs/best/model.npz --to letters.safetensors
      the parameters under the names and in the layouts of a PyTorch state_dict
The first needs onnx and onnxruntime, the second safetensors. letters.json, which describes the
model, is written beside each; docs/export.md shows how to use the files."""


def export(arguments: list[str] | None = None) -> None:
    """Run the command; see --help."""
    about = "Write a saved model as ONNX or safetensors, verified before it is kept."
    p = parser("lenet-xp export", about, EXAMPLES)
    add_model_option(p)
    p.add_argument(
        "--to",
        type=path,
        required=True,
        metavar="FILE",
        help="a name that ends in .onnx or .safetensors; an existing file is replaced",
    )
    options = p.parse_args(arguments)
    check_format(options.to)
    saved = load_model(options.model, get_ops("numpy", "float64"))  # float64 holds every float32
    if options.to.exists() and options.to.samefile(options.model):
        raise InputError(f"{options.to}: is the model itself; choose another --to")
    difference = export_model(saved, options.to)
    tell(
        f"{options.to}: {options.to.stat().st_size:,} bytes, {len(saved.class_names)} classes, "
        f"probabilities at most {difference:.2g} from the model's"
    )
