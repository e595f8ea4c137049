"""What a run makes of a single video, and what that rests on."""
