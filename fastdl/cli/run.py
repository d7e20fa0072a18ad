"""``fastdl run``: a course's script, unchanged, on fastdl's kernels."""

from __future__ import annotations

import argparse
from contextlib import nullcontext

import numpy as np

from .. import backend, dropin
from ..dropin import runner
from ..dropin.detect import Decision, decide_for_script
from ..dropin.finder import PROFILES, tell
from ..dropin.report import Report
from .options import Commands, add_settings, apply_settings


def add(commands: Commands) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "run", help="run a course's script, unchanged, on fast modules",
        description="Runs a script as `python SCRIPT` does, but that imports of the course "
                    "(common, dataset, data, multi_layer_net) mean fastdl's modules.")
    command.add_argument("--profile", choices=("auto", *PROFILES), default="auto",
                         help="whose modules: the textbook's (zero1), the reports' (studyai), or "
                              "by what the script imports (auto, the default)")
    command.add_argument("--dtype", choices=("float64", "float32"), default="float64",
                         help="of the layers' arithmetic; the script's own arrays stay what they "
                              "are (default float64)")
    command.add_argument("--report", action="store_true",
                         help="print at the end where the time went, and what plain NumPy code "
                              "would have taken")
    add_settings(command)
    command.add_argument("script", metavar="SCRIPT")
    command.add_argument("args", nargs=argparse.REMAINDER, metavar="...",
                         help="arguments of the script")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the script; the status is its own."""
    apply_settings(arguments)
    decision = (decide_for_script(arguments.script) if arguments.profile == "auto"
                else Decision(arguments.profile, "--profile"))
    if decision.profile is None:
        tell(f"{decision.why}; nothing is replaced")
        return runner.run(arguments.script, arguments.args)
    tell(f"profile {decision.profile} ({decision.why}), {arguments.dtype}, "
         f"{backend.get_num_threads()} threads")
    backend.keep_freed_memory()
    dropin.install(decision.profile)
    from ..dropin import engine

    float32 = arguments.dtype == "float32"
    engine.dtype = np.dtype(np.float32) if float32 else None
    with (Report(decision.profile, float32=float32) if arguments.report else nullcontext()):
        return runner.run(arguments.script, arguments.args)
