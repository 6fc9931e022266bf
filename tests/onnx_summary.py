"""Write references/onnx_cases.md: the result of every node case of ONNX for our operators.

    python tests/onnx_summary.py

Needs the onnx package. test_onnx_conformance.py compares the file with every backend.
"""

from collections import Counter
from pathlib import Path

from onnx_cases import PLANS, Case, OutOfScope, check, onnx_cases, plan

from lenet_xp.ops import Ops
from lenet_xp.ops.numpy_ops import NumpyOps

SUMMARY = Path(__file__).parent / "references" / "onnx_cases.md"
RESULTS = ("passed", "failed", "out of scope")
Row = tuple[str, str, str, str]  # operator, case, one of RESULTS, what it ran through or lacks


def result_of(case: Case, ops: Ops) -> Row:
    """Run a case on one backend and return its row."""
    try:
        through = plan(case).through
    except OutOfScope as reason:
        return case.operator, case.name, "out of scope", str(reason)
    try:
        check(case, ops)
    except AssertionError:
        return case.operator, case.name, "failed", through
    return case.operator, case.name, "passed", through


def table(head: tuple[str, ...], rows: list[tuple]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines] + [""]


def render(rows: list[Row], written_out: int, version: str) -> str:
    """The summary as Markdown: counts, reasons, then each case."""
    totals = Counter(row[2] for row in rows)
    counts = Counter((row[0], row[2]) for row in rows)
    reasons = Counter(row[3] for row in rows if row[2] == "out of scope")
    lines = [
        "# Node cases of the ONNX backend tests",
        "",
        f"onnx {version} has {len(rows)} cases of one node for the {len(PLANS)} operators that the",
        f"package stands for. On every backend {totals['passed']} run and pass, "
        f"{totals['failed']} fail; {totals['out of scope']} are out of scope.",
        f"{written_out} more, named *_expanded, repeat some of these arrays with the operator",
        "written out in others; they are left out.",
        "",
        "`python tests/onnx_summary.py` writes this file; `tests/test_onnx_conformance.py`",
        "compares it with what every backend does.",
        "",
    ]
    by_operator = [(op, *(counts[op, result] for result in RESULTS)) for op in PLANS]
    lines += table(("operator", *RESULTS), by_operator)
    lines += table(("out of scope", "cases"), reasons.most_common())
    named = [(f"`{name}`", operator, *rest) for operator, name, *rest in sorted(rows)]
    lines += table(("case", "operator", "result", "through, or why not"), named)
    return "\n".join(lines)


def read(text: str) -> dict[str, tuple[str, str]]:
    """Result and reason of every case in a summary."""
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:3] == "| `"]
    return {name.strip("`"): (result, why) for name, _, result, why in cells}


def main() -> None:
    import onnx

    cases, written_out = onnx_cases()
    ops = NumpyOps("float32")
    text = render([result_of(case, ops) for case in cases], written_out, onnx.__version__)
    SUMMARY.write_text(text, encoding="utf-8")
    print(f"{SUMMARY}: {len(cases)} cases of onnx {onnx.__version__}")


if __name__ == "__main__":
    main()
