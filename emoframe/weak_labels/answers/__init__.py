"""What a model answered: its fields, what of it can be used, and the texts made of it."""
