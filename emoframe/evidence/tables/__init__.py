"""Tables of results: rows trained, paired, tested, and written in every format."""
