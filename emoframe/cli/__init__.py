"""The command line: one module per command; `app` assembles them."""
