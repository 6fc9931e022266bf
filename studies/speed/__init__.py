"""Speed against peers, all interleaved in one run on one machine."""
