"""Two networks' readings compared: McNemar's test, and the file that it takes them from."""

import math

import pytest
from scipy.stats import binom

from lenet_xp.errors import InputError
from studies.compare import mcnemar, read_predictions

WHOLE = b"file,true,read,ya,yab,writer\nya/1,ya,ya,1,0,\nya/2,ya,yab,0,1,\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"file,true\n",
        b"a,b,c,d\n",
        WHOLE[:-9],
        WHOLE + b"\n",
        WHOLE + b"ya/1,ya,ya,1,0,\n",
        WHOLE + b'"ya/3,ya,ya,1,0,\n',
        WHOLE + b"\xff,ya,ya,1,0,\n",
        WHOLE + b"x" * 200_000 + b",ya,ya,1,0,\n",
        b"\x00" * 50,
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, content):
    (tmp_path / "predictions.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"predictions\.csv: cannot be read \(.*score again$"):
        read_predictions(tmp_path)


def test_a_whole_file_is_read(tmp_path):
    (tmp_path / "predictions.csv").write_bytes(WHOLE)
    assert read_predictions(tmp_path) == {("ya/1", "ya"): True, ("ya/2", "ya"): False}


# McNemar's test


def readings(both, only_this, only_that, neither=3):
    """Two readings with so many images of each kind."""
    kinds = [(True, True)] * both + [(True, False)] * only_this
    kinds += [(False, True)] * only_that + [(False, False)] * neither
    return tuple({(str(i), "ya"): pair[k] for i, pair in enumerate(kinds)} for k in (0, 1))


@pytest.mark.parametrize(("this", "that"), [(0, 0), (0, 1), (1, 0), (5, 5), (2, 9), (9, 2), (0, 6)])
def test_mcnemar_is_the_two_sided_binomial_test(this, that):
    only_this, only_that, p = mcnemar(*readings(20, this, that))
    assert (only_this, only_that) == (this, that)
    tail = binom.cdf(min(this, that), this + that, 0.5)
    assert math.isclose(p, min(1.0, 2 * tail))


def test_mcnemar_on_a_published_example():
    """1 and 8 discordant pairs: p = 0.0391, as in tables of the sign test."""
    assert round(mcnemar(*readings(10, 1, 8))[2], 4) == 0.0391
