"""What is done by hand on CPUs."""
