"""Pooling: a clip is summed up in one vector."""
