"""Trainings of other studies on the workers of Dask, through joblib."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from joblib import parallel_config

from lenet_xp.commands.cluster import connected


def add_cluster_option(to: argparse.ArgumentParser) -> None:
    """Add --cluster."""
    to.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="train on the workers of the Dask scheduler there, which have this clone and the data "
        "under the same paths; or local, with one worker for each core",
    )


@contextmanager
def trainings_on(address: str | None) -> Iterator[None]:
    """While it is open, joblib's jobs run on a cluster, if one is given."""
    if address is None:
        yield
        return
    with connected(address), parallel_config("dask"):
        yield
