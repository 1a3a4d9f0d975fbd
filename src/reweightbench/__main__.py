"""`python -m reweightbench`."""

from reweightbench.benchmark.commands.main import main

# Worker processes import this module again; only the first one is the command.
if __name__ == "__main__":
    main(prog_name="reweightbench")
