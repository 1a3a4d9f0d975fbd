"""What is written down about a run, its environment too; folders of it, read and merged."""
