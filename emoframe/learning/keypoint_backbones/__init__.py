"""Keypoint backbones: the joints of one frame become one vector."""
