"""What a method, dataset, corruption and network are: hooks, names, errors, random streams."""
