"""The benchmark's record as a text table and a picture."""

import os
from typing import Any

import numpy as np

from lenet_xp.plots.canvas import INK, add_axes, finished, new_figure, save, style_axes, title

COLOURS = {
    "lenet_xp": "#0072B2",
    "lenet_xp, 1 thread": "#56B4E9",
    "textbook NumPy": "#999999",
    "PyTorch eager": "#D55E00",
    "PyTorch compiled": "#E69F00",
    "JAX compiled": "#CC79A7",
    "ONNX Runtime": "#009E73",
}


def text_table(record: dict[str, Any]) -> str:
    """Return every figure of the record, a block of lines for each batch size."""
    lines = [
        f"{record['cpu']}, {record['threads']} threads, lenet_xp {record['lenet_xp']}"
        + (f" ({commit})" if (commit := record["git_commit"]) else ""),
        ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        "absent: " + (", ".join(record["absent"]) or "nobody"),
        f"medians of {record['turns']} turns of {record['seconds_a_turn']} s, interleaved; "
        "spread is half the distance of the quartiles; x is how many times the contender's time "
        "lenet_xp's goes into",
    ]
    for kind in ("training", "inference"):
        for row in record[kind]:
            lines += [
                "",
                f"{kind}, batch {row['batch']}: sgemm peak {row['sgemm_gflops']:.0f} GFLOP/s, "
                f"floor {row['floor_images_per_second']:,.0f} images/s, "
                f"lenet_xp at {row['share_of_floor']:.0%} of it",
                f"  {'':20} {'ms':>9} {'spread':>7} {'images/s':>10} {'x':>6}",
            ]
            lines += [
                f"  {name:20} {e['milliseconds']:9.3f} {e['spread']:7.1%} "
                f"{e['images_per_second']:10,.0f} {e['lenet_xp_is_faster_by']:6.2f}"
                for name, e in row["contenders"].items()
            ]
    pipeline = record["pipeline"]
    lines += [
        "",
        f"an epoch with the input pipeline: {pipeline['plain_images_per_second']:,.0f} images/s, "
        f"distorted {pipeline['distorted_images_per_second']:,.0f}: "
        f"{pipeline['distorted_over_plain']:.2f} times the time",
    ]
    for run in record.get("commands", []):
        lines += [
            "",
            f"{run['command']}",
            f"  {run['seconds']:.1f} s, {run['cpu_seconds']:.1f} s of CPU, "
            f"peak memory {run['peak_megabytes']:.0f} MB, exit status {run['exit_status']}",
        ]
    return "\n".join(lines) + "\n"


def draw(record: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Draw images per second over the batch size, training and inference, on log scales."""
    figure = new_figure(12.5, 5.4)
    for left, kind in ((0.9, "training"), (7.0, "inference")):
        axes = add_axes(figure, left, 0.6, 5.2, 3.5)
        title(axes, f"{kind}, images/s")
        batches = [row["batch"] for row in record[kind]]
        names = list(record[kind][0]["contenders"])
        for name in names:
            rates = [row["contenders"][name]["images_per_second"] for row in record[kind]]
            axes.plot(batches, rates, marker="o", color=COLOURS[name], label=name, linewidth=2)
        floors = [row["floor_images_per_second"] for row in record[kind]]
        axes.plot(batches, floors, color=INK, linestyle=":", label="sgemm floor")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(batches, [str(batch) for batch in batches])
        axes.minorticks_off()
        low, high = axes.get_ylim()
        ticks = [t for e in range(1, 8) for t in (10**e, 3 * 10**e) if low <= t <= high]
        axes.set_yticks(ticks, [f"{tick:,}" for tick in np.array(ticks)])
        axes.set_xlabel("batch", color=INK)
        style_axes(axes, "both")
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, frameon=False, fontsize=9
        )
    save(finished(figure), path)
