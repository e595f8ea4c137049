"""Detectors: find everybody in each frame. Parts of the kind `detector`, one file each."""

from __future__ import annotations
