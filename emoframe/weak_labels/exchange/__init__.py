"""What leaves and enters a label store: tables, files of other tools, human review."""
