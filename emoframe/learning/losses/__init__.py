"""Losses: how wrong an output is."""
