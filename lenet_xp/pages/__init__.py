"""Lines and pages of separate letters: found, put in order, read, drawn."""
