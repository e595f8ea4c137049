"""Data sets: which items there are, what is known of them, and what they bring along."""
