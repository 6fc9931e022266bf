"""Words for terminals: a path as one word of a command, the nearest of known words, reasons."""

import shlex

import pytest

from lenet_xp.system import text
from lenet_xp.system.text import in_shell, nearest, reason_of


@pytest.mark.parametrize(
    "word",
    ["run", "a run", "it's", 'q"', "$HOME", "~", "a;b", "*", "", "é ⵣ", "a\\b", "-x", "--o=a b"],
)
def test_a_path_is_one_word_and_no_option(word):
    (again,) = shlex.split(in_shell(word))
    assert again == (f"./{word}" if word.startswith("-") else word)


@pytest.mark.parametrize(
    ("word", "shown"),
    [("a b", '"a b"'), (r"C:\\runs\\a", r"C:\\runs\\a"), ("a&b", '"a&b"'), ("it's", "it's")],
)
def test_a_word_of_a_command_on_windows(monkeypatch, word, shown):
    monkeypatch.setattr(text.os, "name", "nt")
    assert in_shell(word) == shown


def test_the_nearest_is_named_or_else_all_are():
    assert nearest("Trian", ["train", "test"]) == "did you mean train?"
    assert nearest("x", ["train", "test"]) == "there are train, test"


def test_a_reason_is_one_line_and_never_empty():
    assert reason_of(ValueError("a\n  b")) == "a b"
    assert reason_of(KeyError()) == "KeyError"
    assert reason_of(ValueError("x" * 500), 200) == "x" * 200
