"""The command line: `python -m nst.hub push-examples OWNER/NAME`, `push-weights` and `deploy`.

Knows arguments and terminals only. The account is the one of `hf auth login`, or of `HF_TOKEN`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nst.console import INTERRUPTED, fail, run_command
from nst.files import cache_folder

if TYPE_CHECKING:
    from nst.web.hub_client import Published

ROOT = Path(__file__).parents[2]
VARIABLES = {
    "examples": "NST_EXAMPLES_REPO",
    "gallery": "NST_GALLERY_REPO",
    "weights": "NST_WEIGHTS_REPO",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish one thing; the exit status is 0, or 1 after a one-line reason on stderr."""
    options = build_parser().parse_args(arguments)
    try:
        published = COMMANDS[options.command](options)
    except KeyboardInterrupt:
        print("\nnst.hub: stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        return fail("nst.hub", error)
    count = len(published.uploaded)
    print(f"{count} file{'' if count == 1 else 's'} uploaded" if count else "nothing new", end=": ")
    print(published.address)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser: one command for each thing that can be published."""
    parser = argparse.ArgumentParser(
        prog="python -m nst.hub", description="Publish on the Hugging Face Hub."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    examples = commands.add_parser(
        "push-examples", help="the example pictures and their finished results, as a dataset"
    )
    examples.add_argument(
        "--folder", type=Path, default=ROOT / "examples", help="the pictures (default: examples/)"
    )
    commands.add_parser("push-weights", help="the original VGG-19, packed, as a model")
    deploy = commands.add_parser("deploy", help="this page, as a Space")
    deploy.add_argument("--hardware", metavar="FLAVOUR", help="such as cpu-basic or zero-a10g")
    for name, variable in VARIABLES.items():
        deploy.add_argument(
            f"--{name}", metavar="OWNER/NAME", help=f"the repository for {name} ({variable})"
        )
    for command in commands.choices.values():
        command.add_argument("repo", metavar="OWNER/NAME")
        command.add_argument("--private", action="store_true", help="for the owner's eyes only")
    return parser


def push_examples(options: argparse.Namespace) -> Published:
    """Paint and publish the examples."""
    from nst.hub import examples  # after --help: torch takes seconds

    work = cache_folder() / "examples"
    return examples.push_examples(
        options.repo, options.folder, work, private=options.private, report=report
    )


def push_weights_of(options: argparse.Namespace) -> Published:
    """Publish the original parameters."""
    from nst.hub.push_weights import push_weights

    return push_weights(options.repo, private=options.private)


def deploy(options: argparse.Namespace) -> Published:
    """Deploy the page to a Space."""
    from nst.hub import space

    chosen = {v: value for name, v in VARIABLES.items() if (value := getattr(options, name))}
    return space.deploy(
        options.repo, ROOT, private=options.private, hardware=options.hardware, variables=chosen
    )


def report(line: str) -> None:
    """Print what a publication did."""
    print(line, file=sys.stderr, flush=True)


COMMANDS = {"push-examples": push_examples, "push-weights": push_weights_of, "deploy": deploy}


if __name__ == "__main__":
    sys.exit(run_command(main, "nst.hub"))
