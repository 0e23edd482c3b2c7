"""Games of convention by themselves, each in its published limit: naming, signalling, categories, culture."""
