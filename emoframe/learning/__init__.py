"""Learning: clips of features become a model, one seed at a time."""
