"""Asking a model about clips: who, at what price, how many at a time, and what came of it."""
