"""The alphabet, and letters that the package draws itself."""
