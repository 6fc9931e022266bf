"""The demo in the browser: a page on this machine that reads letters while one draws them."""
