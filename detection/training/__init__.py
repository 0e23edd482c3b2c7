"""How a detector learns: one update, the loop around it, and what it takes to stop, go on, and fit into memory."""
