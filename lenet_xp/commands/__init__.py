"""The command lines: argparse and one call each; scripts/*.py start them."""
