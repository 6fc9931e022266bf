"""The alphabet, and letters and pages that the package draws itself."""
