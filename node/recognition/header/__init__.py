"""Headers: from a file to the facts of its frames, in the same words for every vendor."""
