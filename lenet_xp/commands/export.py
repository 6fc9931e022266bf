"""The command `export`: write a saved model as ONNX or safetensors."""

from importlib import import_module

from lenet_xp.commands.terminal import add_model_option, parser, path
from lenet_xp.errors import InputError
from lenet_xp.export import check_format, export_model
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.system.streams import tell

EXAMPLES = """\
  lenet-xp export --to letters.onnx
      the package's own model, from preprocessed uint8 images to probabilities
  lenet-xp export --int8 --to letters.onnx
      the same with int8 parameters: a quarter of the size, nearly the same readings
  lenet-xp export runs/best/model.npz --to letters.safetensors
      the parameters under the names and in the layouts of a PyTorch state_dict
The first two need onnx and onnxruntime, the third safetensors. letters.json, which describes the
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
    p.add_argument("--int8", action="store_true", help="int8 parameters, for .onnx only")
    options = p.parse_args(arguments)
    check_format(options.to)
    saved = load_model(options.model, get_ops("numpy", "float64"))  # float64 holds every float32
    if options.to.exists() and options.to.samefile(options.model):
        raise InputError(f"{options.to}: is the model itself; choose another --to")
    if options.int8:  # the quantiser reads the model in a session of its own, which may log
        import_module("onnxruntime").set_default_logger_severity(3)  # errors only
    done = export_model(saved, options.to, options.int8)
    same = f"{done.same:.2%} of generated letters read as by the model, " * options.int8
    tell(
        f"{options.to}: {done.size:,} bytes, {len(saved.class_names)} classes, "
        f"{same}probabilities at most {done.difference:.2g} from the model's"
    )
