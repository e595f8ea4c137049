"""Handing results in to a challenge, and remembering what came back."""
