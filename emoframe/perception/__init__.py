"""A video becomes keypoints and frame features, once, in a store.

Slow and run once per video: decoding, detection, the crop, and the estimators that follow, each
cached under a hash of everything it depends on. Keypoints that another tool has computed enter by
`keypoint_files`. Learning meets this room at the store only.
"""
