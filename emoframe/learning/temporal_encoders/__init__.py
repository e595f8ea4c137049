"""Temporal encoders: the vectors of a clip are related to one another."""
