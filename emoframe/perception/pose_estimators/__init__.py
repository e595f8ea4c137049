"""Pose estimators: measure one person. Parts of the kind `pose_estimator`, one file each."""

from __future__ import annotations
