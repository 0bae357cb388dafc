"""``python -P -m api.gunicorn_app``: gunicorn without its working directory on the import path."""

import os

from gunicorn.app.wsgiapp import WSGIApplication


class Server(WSGIApplication):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn without its working directory on ``sys.path``."""

    def chdir(self) -> None:
        """Change to the configured directory.

        Gunicorn would also put that directory first on ``sys.path``, where a folder ``api`` of
        somebody else's would be imported in place of the service's.
        """
        os.chdir(self.cfg.chdir)


def main() -> None:
    """Run gunicorn until SIGTERM, with the arguments of this process."""
    Server("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").run()


if __name__ == "__main__":
    main()
