"""What of a video a model is shown: a clip, its frames, and what is drawn into them."""
