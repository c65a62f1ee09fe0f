"""What the benchmark is made of."""
