"""The small faults that can be put into a source, one at a time.

A fault replaces a stretch of the text, so that the lines before and after can be shown.
Annotations, decorators, error messages, assertions, `__repr__` and the strictness of `zip` are left
alone.
"""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

COMPARISONS = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "is": "is not",
    "is not": "is",
    "in": "not in",
    "not in": "in",
}
ARITHMETIC = {
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "//": "*",
    "%": "*",
    "**": "*",
    "<<": ">>",
    ">>": "<<",
    "&": "|",
    "|": "&",
    "^": "|",
}
PAIRS = (("min", "max"), ("minimum", "maximum"), ("argmin", "argmax"), ("any", "all"))
NAMES = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
FEW = 16  # whole numbers up to this one change by one, larger ones to their double and their half
COMPARISON = re.compile(rb"\bis\s+not\b|\bnot\s+in\b|\bis\b|\bin\b|[<>]=?|[=!]=")
COMMENT = re.compile(r"  # .*$", re.MULTILINE)
OPERATOR = re.compile(rb"\*\*|//|<<|>>|[-+*/%&|^]")
SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "bases", "type_params"}
SKIPPED_KEYWORDS = {"strict", "repr"}


class Change(NamedTuple):
    """One fault: the bytes from `start` to `end` of a source become `new`."""

    start: int
    end: int
    new: bytes

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.new + source[self.end :]

    def lines(self, source: bytes) -> tuple[int, str, str]:
        """The number of the line, from 1, and its text before and after, without comments."""
        first = source.rfind(b"\n", 0, self.start) + 1
        last = source.find(b"\n", self.end)
        last = len(source) if last < 0 else last
        before = source[first:last]
        after = source[first : self.start] + self.new + source[self.end : last]
        number = source.count(b"\n", 0, self.start) + 1
        return number, _one_line(before), _one_line(after)


def _one_line(text: bytes) -> str:
    return " ".join(COMMENT.sub("", text.decode()).split())


def changes(source: bytes) -> list[Change]:
    """All faults of a source that still compile, in the order of their places."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    return sorted(set(finder.found))


def compiles(source: bytes) -> bool:
    """Whether a source is valid Python; some changes of numbers are not."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


class _Finder(ast.NodeVisitor):
    """Collects the changes of a source, `visit_X` those of a node X."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.found: list[Change] = []
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def generic_visit(self, node: ast.AST) -> None:
        for name, value in ast.iter_fields(node):
            if name in SKIPPED_FIELDS:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.visit(child)

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _replace(self, node: ast.expr | ast.stmt, new: str) -> None:
        """Replace a node; {} in the new text stands for the old one."""
        start, end = self._span(node)
        old = self.source[start:end]
        self.found.append(Change(start, end, new.encode().replace(b"{}", old)))

    def _operator(
        self, left: ast.expr, right: ast.expr, sign: re.Pattern[bytes], swaps: dict[str, str]
    ) -> None:
        """Swap the sign between two operands."""
        start, end = self._span(left)[1], self._span(right)[0]
        for found in sign.finditer(self.source, start, end):
            old = " ".join(found[0].decode().split())
            if old in swaps:
                self.found.append(Change(found.start(), found.end(), swaps[old].encode()))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name != "__repr__":
            self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        pass

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, "pass")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "break")

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "continue")

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and ast.unparse(node.value) != "None":
            self._replace(node.value, "None")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._replace(node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace(node, "pass")
        self._operator(node.target, node.value, OPERATOR, ARITHMETIC)
        self.generic_visit(node)

    def visit_If(self, node: ast.If | ast.While | ast.IfExp) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if not isinstance(node.test, ast.UnaryOp):
            self._replace(node.test, "(not ({}))")
        self.generic_visit(node)

    visit_IfExp = visit_If

    def visit_While(self, node: ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            self.visit_If(node)
        else:
            self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if not (isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)):
            start = self._span(node)[0]
            self.found.append(Change(start, self._span(node.operand)[0], b""))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in pairwise(node.values):
            swaps = {"and": "or", "or": "and"}
            self._operator(left, right, re.compile(rb"\band\b|\bor\b"), swaps)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, right in pairwise(operands):
            self._operator(left, right, COMPARISON, COMPARISONS)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        sides = (node.left, node.right)
        if not any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in sides):
            self._operator(*sides, OPERATOR, ARITHMETIC)
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound, new in ((node.lower, "({}) + 1"), (node.upper, "({}) - 1")):
            if bound is not None and not isinstance(bound, ast.Constant):
                self._replace(bound, new)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        if name.endswith(("Error", "Warning")):
            return  # its message
        if name in NAMES:
            end = self._span(node.func)[1]
            self.found.append(Change(end - len(name), end, NAMES[name].encode()))
        if name == "reshape":  # takes any negative number for "the rest"
            node.args = [each for each in node.args if not isinstance(each, ast.UnaryOp)]
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in SKIPPED_KEYWORDS:
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        for new in _other_values(node.value):
            self._replace(node, repr(new))


def _other_values(value: object) -> Iterator[object]:
    """What a constant is changed to: two other numbers, the other truth value, nothing for text."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1) if value <= FEW else (value * 2, value // 2)
    elif isinstance(value, float):
        yield from (value * 2, value / 2) if value else (1.0, -1.0)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
