"""What is to be run: a cell, a suite, and the cells of a suite."""
