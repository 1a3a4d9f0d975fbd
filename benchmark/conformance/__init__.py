"""What `reweightbench check` promises of a method, and how each promise is tried."""
