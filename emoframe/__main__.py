"""`python -m emoframe` is the command `emoframe`."""

from __future__ import annotations

from emoframe.cli.app import main

main()
