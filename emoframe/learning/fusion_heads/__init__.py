"""Fusion heads: the vectors of the branches are joined."""
