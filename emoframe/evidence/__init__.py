"""Evidence: numbers with intervals, the sealed test set, and pages that people read."""
