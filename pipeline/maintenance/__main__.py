"""Entry point of the sweep: ``python -m pipeline.maintenance``.

The process runs a sweep pass every second until it is stopped. With ``--once`` it runs one pass.
"""

import argparse
import os
import signal
import sys

from pipeline.errors import UnavailableError
from pipeline.maintenance.sweep import open_sweep, sweep_until
from pipeline.monitoring.logs import configure_logging
from pipeline.monitoring.metrics_server import expose_metrics, prepare_metrics
from pipeline.settings import Settings, SettingsError

_DESCRIPTION = (
    "Find stalled jobs and enqueue their missing work, once per second until stopped. "
    "Reads the service's QRMILL_ environment variables."
)


def main() -> None:
    """Run the sweep with the options of the command line."""
    parser = argparse.ArgumentParser(prog="qrmill sweep", description=_DESCRIPTION)
    parser.add_argument("--once", action="store_true", help="run one sweep pass and exit")
    once: bool = parser.parse_args().once
    try:
        settings = Settings.from_environment(os.environ)
        configure_logging(settings)
        if not once:
            prepare_metrics(settings)
        sweep = open_sweep(settings)
    except SettingsError as error:
        sys.exit(f"qrmill sweep: {error}")
    if once:
        try:
            swept = sweep.once()
        except UnavailableError as error:
            sys.exit(f"qrmill sweep: {error}")
        sys.exit(None if swept else "qrmill sweep: another sweep holds the lease")
    expose_metrics(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sweep.stopping.set())
    sweep_until(sweep.stopping, sweep.once)


if __name__ == "__main__":
    main()
