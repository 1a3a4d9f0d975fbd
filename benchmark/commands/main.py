"""The command line: every user mistake is one line, and the exit code is 0 only if all is well."""

import atexit
import gc
import importlib
import os
import sys
from typing import Any

import click

from reweightbench import __version__
from reweightbench.benchmark.commands.console import complain
from reweightbench.benchmark.contracts.errors import UsageError

COMMANDS = (
    "list",
    "prepare",
    "tune",
    "run",
    "status",
    "time",
    "report",
    "publish",
    "verify",
    "merge",
    "check",
)
HIDDEN = ("sources",)
"""Commands for those who change the package."""

COLLECTION_THRESHOLD = 10_000
"""New objects after which Python looks for garbage among them; its own default is 700."""


class Commands(click.Group):
    """Loads a command when it is asked for, and turns errors a user can mend into one line and exit code 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in (*COMMANDS, *HIDDEN):
            return None
        module = importlib.import_module(f"reweightbench.benchmark.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            place = error.ctx.command_path if error.ctx else ctx.command_path
            complain(f"error: {error.format_message().rstrip('.?')}; '{place} --help' shows what there is")
            ctx.exit(2)
        except UsageError as error:
            complain(f"error: {error}")
            ctx.exit(2)
        except BrokenPipeError:
            # Whoever read the output has seen enough. The interpreter would complain at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except OSError as error:
            place = f" '{error.filename}'" if error.filename else ""
            kept = "finished cells are kept, " if ctx.invoked_subcommand in {"run", "tune"} else ""
            complain(f"error: {error.strerror or error}{place}; {kept}mend it and run the same again")
            ctx.exit(2)
        except RuntimeError as error:
            # What Python before 3.13 says of a path whose links go in a circle.
            if not str(error).startswith("Symlink loop"):
                raise
            complain(f"error: {error}; remove the link or give another path")
            ctx.exit(2)
        except KeyboardInterrupt:
            complain("stopped; finished cells are kept, the same command goes on from there")
            ctx.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__)
def main() -> None:
    """Benchmark of example reweighting under label noise and class imbalance."""
    # What libraries load stays: looking through it for garbage takes a quarter of the time of most commands.
    gc.set_threshold(COLLECTION_THRESHOLD)
    atexit.register(_skip_the_last_collection)


def _skip_the_last_collection() -> None:
    """Let the process end without looking for garbage, unless a library would take that for leaks."""
    if "triton" not in sys.modules:
        gc.freeze()
