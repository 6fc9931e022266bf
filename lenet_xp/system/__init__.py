"""Files, processes, text and the terminal: no letter and no network is known here."""
