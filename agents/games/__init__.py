"""Language games by themselves, each in its published limit."""
