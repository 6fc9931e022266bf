"""Command lines of random options and values."""

import os
from random import Random

HOSTILE = (
    *(
        "",
        " ",
        "-",
        "--",
        "-1",
        "0",
        "1",
        "2",
        "1.5",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e308",
        "1e-320",
    ),
    *(
        "9" * 25,
        "9" * 5000,
        "0x10",
        "1_0",
        "٣",
        "²",
        "None",
        "true",
        "\x1b[2J",
        "a\nb",
        "\ud8ff",
        "%s",
    ),
    *(
        "%(prog)s",
        "{0}",
        "ⵣ",
        "x" * 300,
        "x" * 70_000,
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/proc/self/mem",
    ),
    *(
        "/proc/self/fd/0",
        ".",
        "..",
        "~",
        "nowhere",
        "nowhere/x.npz",
        "../base/model.npz",
        "../base/letters",
    ),
    *(
        "../base/letters/ya/ya_0.jpeg",
        "../base/letters.npz",
        "out",
        "out/x.md",
        "out/x.onnx",
    ),
    *(
        "out/x.safetensors",
        "../base/model.npz/x",
        "synthetic",
        "@/etc/passwd",
        "$(touch escaped)",
        "`id`",
    ),
    *(
        "|touch escaped",
        "; touch escaped",
        "http://127.0.0.1:9/x",
        "file:///etc/passwd",
        "\\\\host\\x",
    ),
)
LETTERS, MODEL = "../base/letters", "../base/model.npz"
# For each command: arguments that are well and soon done, and options with a sound value for each.
COMMANDS: dict[str, tuple[tuple[str, ...], dict[str, str | None]]] = {
    "predict": (
        (f"{LETTERS}/ya/ya_0.jpeg", "--model", MODEL),
        {"--top": "2", "--json": None, "--skip-bad": None, "--threads": "1", "--dtype": "float64"},
    ),
    "evaluate": (
        (MODEL, "--data", LETTERS, "--part", "all"),
        {
            **{
                "--part": "val",
                "--split": "random",
                "--fold": "1",
                "--samples": "15",
                "--seed": "1",
            },
            **{"--json": None, "--skip-bad": None, "--no-cache": None, "--dtype": "float64"},
        },
    ),
    "train": (
        ("--data", LETTERS, "--epochs", "1", "--no-plots", "--out", "out", "--threads", "1"),
        {
            **{"--recipe": "best", "--epochs": "1", "--batch-size": "7", "--learning-rate": "0.1"},
            **{"--seed": "3", "--overwrite": None, "--checkpoint-every": "0.001", "--fold": "1"},
            **{"--split": "kfold", "--allow-overlap": None, "--resume": "out", "--samples": "15"},
            **{"--backend": "numpy", "--dtype": "float64", "--threads": "2", "--no-cache": None},
        },
    ),
    "audit": (
        ("--data", LETTERS),
        {
            **{"--split": "random", "--samples": "15", "--json": None, "--no-cache": None},
            **{"--model": MODEL, "--epochs": "1", "--out": "out", "--most": "3"},
        },
    ),
    "export": ((MODEL, "--to", "out/x.safetensors"), {"--to": "out/y.onnx"}),
    "site": (("out", "--model", MODEL), {"--model": LETTERS}),
    "report": (("--results", "nowhere", "--out", "out/x.md"), {"--results": "../base/letters"}),
    "download": ((), {"--json": None}),
    "benchmark": (("--no-such-option",), {"--threads": "0", "--quick": None, "--out": "out"}),
    "soup": ((), {"--data": LETTERS}),
}
# Values that are sound and would take long: no hostile case, but a whole job.
_LONG = {"--epochs": 3, "--samples": 20, "--threads": 8, "--batch-size": 10**6}


def hostile(rng: Random) -> tuple[str, tuple[str, ...], str]:
    """A command, its arguments, and what is odd about them."""
    weights = (6, 6, 4, 4, 2, 1, 2, 1, 2, 1)
    command = rng.choices(list(COMMANDS), weights)[0]
    first, options = COMMANDS[command]
    arguments = list(first)
    words = "as it should be"
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        drawn = rng.random()
        if drawn < 0.55:
            option = rng.choice(list(options))
            value = options[option] if rng.random() < 0.4 else _short(option, rng.choice(HOSTILE))
            arguments += [option] if value is None else [option, value]
        elif drawn < 0.7 and arguments:
            place = rng.randrange(len(arguments))
            before = arguments[place - 1] if place else ""
            arguments[place] = _short(before, rng.choice(HOSTILE))
        elif drawn < 0.8 and arguments:
            arguments.pop(rng.randrange(len(arguments)))
        elif drawn < 0.9:
            arguments.insert(rng.randrange(len(arguments) + 1), rng.choice(HOSTILE))
        else:
            arguments += [rng.choice(("--no-such", "--da", "-h", "--help", "-x", "--version"))]
        words = "options changed"
    if command == "benchmark":  # a whole one takes a minute
        arguments = [*first, *arguments]
    return command, _soon(command, arguments), words


def sound() -> list[tuple[str, tuple[tuple[str, ...], dict[str, str | None]]]]:
    """Those of COMMANDS whose first arguments are well done."""
    return [(name, COMMANDS[name]) for name in ("predict", "evaluate", "audit")]


def out(arguments: tuple[str, ...]) -> str:
    """Where a command line's results may appear: what it says itself."""
    places = [place for place, each in enumerate(arguments[:-1]) if each in ("--out", "--to")]
    return os.path.normpath(arguments[places[-1] + 1]) if places else "out"


def _short(option: str, value: str) -> str:
    """A value, or another in place of one that would only make the command take long."""
    try:
        number = int(value)
    except ValueError:
        return value
    most = _LONG.get(option)
    return value if most is None or number <= most else str(most)


def _soon(command: str, arguments: list[str]) -> tuple[str, ...]:
    """With what keeps a command from generating 13,200 letters, or training ten epochs, if it can.

    What would be no text to the system, NUL within, stays out: no shell can give it.
    """
    if command == "train" and "--epochs" not in arguments and "--resume" not in arguments:
        arguments += ["--epochs", "1"]
    if "synthetic" in arguments or (command == "train" and "--data" not in arguments):
        arguments += ["--samples", "15"]
    if command == "train" and not any(each.startswith("--out") for each in arguments):
        arguments += ["--out", "out"]
    if command == "train":
        arguments += ["--no-plots"]
    if command == "evaluate" and "--out" in arguments:
        place = arguments.index("--out")
        del arguments[place : place + 2]  # pictures take a second
    return tuple(each.replace("\0", "") for each in arguments)
