"""Parts that ask a model, or stand in for one."""
