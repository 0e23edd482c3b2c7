"""Images and their annotations: read, checked, resized, and put into batches that depend on a seed alone."""
