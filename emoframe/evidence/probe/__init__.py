"""Whether a labeler knows what it must not know: person, event, result."""
