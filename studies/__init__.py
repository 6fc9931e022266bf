"""How the project's figures were made: run from a clone, never installed."""
