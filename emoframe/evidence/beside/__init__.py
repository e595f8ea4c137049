"""What stands beside every result: baselines, and whether a student just copies its teacher."""
