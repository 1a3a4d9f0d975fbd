"""One cell on its way from data and network to its result."""
