"""``python -m tests.benchmarks [name ...]``: run benchmarks by name, or all of them."""

import sys
from importlib import import_module

#: Each is a module here with a function ``main()`` that prints its figures.
NAMES = ("render", "deflate", "memory", "pollers")


def main() -> None:
    """Run the benchmarks that the command line names."""
    names = sys.argv[1:] or NAMES
    unknown = set(names) - set(NAMES)
    if unknown:
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in names:
        print(f"== {name}", flush=True)
        import_module(f"tests.benchmarks.{name}").main()


main()
