"""What is to be run: a cell and its key, a suite and its TOML file, the cells of a suite."""
