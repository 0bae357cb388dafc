"""``python -P -m api.gunicorn_app``: gunicorn, without the working directory on the import path."""

import os

from gunicorn.app.wsgiapp import WSGIApplication


class Server(WSGIApplication):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn application that leaves ``sys.path`` unchanged."""

    def chdir(self) -> None:
        """Change to the configured working directory.

        Gunicorn's own method also inserts the directory at the beginning of ``sys.path``. A foreign
        folder ``api`` in that directory would then be imported instead of the service's package.
        """
        os.chdir(self.cfg.chdir)


def main() -> None:
    """Run gunicorn until SIGTERM, with the command line arguments of this process."""
    Server("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").run()


if __name__ == "__main__":
    main()
