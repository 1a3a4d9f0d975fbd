"""What a method, a dataset, a corruption and a network are, and what they are built with."""
