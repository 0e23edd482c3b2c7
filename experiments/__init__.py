"""What people run: programs that live societies and measure them."""
