"""The GPU benchmark's record as a text table."""

from typing import Any


def gpu_table(record: dict[str, Any]) -> str:
    """Return every figure of the record, a block of lines for each batch size."""
    card = record["card"]
    lines = [
        f"{card['name']}, compute capability {card['compute_capability']}, lenet_xp "
        f"{record['lenet_xp']} ({record['git_commit']}), float32",
        f"driver {card['driver']}, runtime {card['runtime']}, CuPy {card['cupy']}",
        ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        f"peaks from its clocks: {card['float32_peak_tflops']:.1f} TFLOP/s in float32, "
        f"{card['bandwidth_peak_gb_per_second']:,.0f} GB/s",
        *(f"absent: {name}: {reason}" for name, reason in record["absent"].items()),
        f"medians of {record['turns']} turns of {record['seconds_a_turn']} s by the device's "
        "clock, interleaved; spread is half the distance of the quartiles; x is how many times the "
        "contender's time lenet_xp's goes into",
    ]
    for kind in ("training", "inference"):
        for row in record[kind]:
            lines += ["", *_block(kind, row)]
    epoch = record["epoch"]
    lines += [
        "",
        f"an epoch of {epoch['images']:,} images, batch {epoch['batch']}, with the input pipeline: "
        f"{epoch['milliseconds']:.1f} ms, the first {1e3 * epoch['seconds'][0]:.1f} ms",
    ]
    lines += ["", "one image, bytes on the host to probabilities on the host, by the host's clock:"]
    lines += _entries(record["one_image"])
    if "amhcd" in record:
        lines += ["", *amhcd_lines(record["amhcd"])]
    return "\n".join(lines) + "\n"


def _block(kind: str, row: dict[str, Any]) -> list[str]:
    return [
        f"{kind}, batch {row['batch']}: {row['kernels']} kernels, "
        f"{row['batches_a_launch']} batches to a graph",
        f"  floor of {row['flops'] / 1e6:,.0f} MFLOP and {row['bytes'] / 1e6:,.1f} MB: "
        f"{row['floor_microseconds']:.2f} us, {row['share_of_floor']:.1%} of it reached "
        f"({row['share_of_arithmetic']:.1%} of the arithmetic, "
        f"{row['share_of_bandwidth']:.1%} of the bandwidth)",
        *_entries(row["contenders"]),
    ]


def _entries(contenders: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"  {'':20} {'us':>10} {'spread':>7} {'images/s':>12} {'x':>6}",
        *(
            f"  {name:20} {e['microseconds']:10.2f} {e['spread']:7.1%} "
            f"{e['images_per_second']:12,.0f} {e['lenet_xp_is_faster_by']:6.2f}"
            for name, e in contenders.items()
        ),
    ]


def amhcd_lines(found: dict[str, Any]) -> list[str]:
    """Return the lines of a record of `gpu_amhcd.measure`."""
    lines = [f"AMHCD, {found['images']:,} training images, the seed's split:"]
    for name in ("classic", "race", "best"):
        if name not in found:
            continue
        for which in ("first", "again"):
            run = found[name][which]
            lines.append(
                f"  {name:8} {which:6} {run['epochs']:3} epochs, batch {run['batch']}: "
                f"{run['fit_seconds']:.3f} s to the weights, {run['train_seconds']:.3f} s in "
                f"training, the median epoch {_median(run['epoch_seconds']) * 1e3:.1f} ms; "
                f"validation {run['val_accuracy']:.2%}, test {run['test_accuracy']:.2%}"
            )
    if "cold" in found:
        cold = found["cold"]
        lines.append(
            f"  race in a process of its own: {cold['process_seconds']:.2f} s from its start, "
            f"{cold['fit_seconds']:.3f} s of it from host images to the weights; "
            f"test {cold['test_accuracy']:.2%}"
        )
    return lines


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
