"""What a method must keep to, and how `reweightbench check` tries each promise."""
