"""Parts that turn texts into vectors."""
