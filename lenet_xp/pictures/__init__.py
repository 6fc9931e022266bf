"""Any picture to the 32 x 32 pixels that a network reads; no network in here."""
