"""Pictures of the data: keypoints, lengths, what was measured, and where two estimators differ."""
