"""The program of the sweep: ``python -m pipeline.maintenance``.

It sweeps once a second until it is told to stop, with ``--once`` one time.
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
    "Find jobs with work left and nothing moving them, and move them: once a second until stopped. "
    "It takes the service's own QRMILL_ environment."
)


def main() -> None:
    """Sweep as the command line says."""
    parser = argparse.ArgumentParser(prog="qrmill sweep", description=_DESCRIPTION)
    parser.add_argument("--once", action="store_true", help="sweep one time, and end")
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
