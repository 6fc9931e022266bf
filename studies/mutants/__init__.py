"""The mutation check: which small faults in the package the tests notice."""
