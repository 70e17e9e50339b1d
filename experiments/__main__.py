"""`python -m experiments` lists the experiments, `python -m experiments NAME [options]` runs one."""

import argparse
import importlib
import pkgutil
import sys
from types import ModuleType

import experiments

from .common.arguments import UsageError


def discover() -> dict[str, ModuleType]:
    """The experiments by name: each module of the package that has a SUMMARY."""
    names = sorted(m.name for m in pkgutil.iter_modules(experiments.__path__) if not m.ispkg and m.name != "__main__")
    modules = {name: importlib.import_module(f"experiments.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "SUMMARY")}


def make_parser(found: dict[str, ModuleType]) -> argparse.ArgumentParser:
    """One sub-command for each experiment."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments", description="Experiments with small networks and normalization."
    )
    commands = parser.add_subparsers(title="experiments", metavar="NAME", dest="experiment")
    for name, module in found.items():
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(command)
    return parser


def list_experiments(found: dict[str, ModuleType]) -> str:
    """One line for each experiment."""
    width = max(map(len, found))
    lines = [f"  {name:<{width}}  {module.SUMMARY}" for name, module in found.items()]
    return "\n".join(["Experiments:", *lines, "", "python -m experiments NAME --help shows the options of one."])


def main(arguments: list[str] | None = None) -> int:
    """List, or run; answer the exit status."""
    found = discover()
    options = make_parser(found).parse_args(arguments)
    if options.experiment is None:
        print(list_experiments(found))
        return 0
    try:
        found[options.experiment].run(options)
    except UsageError as error:
        print(f"python -m experiments {options.experiment}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{options.experiment}: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
