"""What weak labels are worth: agreement with gold, calibration, noise; prompts side by side."""
