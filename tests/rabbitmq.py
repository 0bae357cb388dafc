"""RabbitMQ of Debian's package, with its own loopback ports.

The server needs epmd, Erlang's port mapper. By default it starts a daemon that keeps running and is
shared by all Erlang programs of the machine. The tests therefore start their own epmd, which dies
with its parent.
"""

import os
import random
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pika
import pika.exceptions
from dramatiq.common import dq_name, xq_name
from pika.adapters.blocking_connection import BlockingChannel

from deploy.embedded.files import make_private_directory, write_private
from deploy.embedded.ports import LOOPBACK, is_free
from deploy.embedded.process import Part, PartProcess, start_and_wait
from pipeline.broker.names import ALL_QUEUES
from tests.certificates import write_certificate

#: Programs of Debian's package. Those on the PATH are wrappers that switch to another user.
_PROGRAMS = Path("/usr/lib/rabbitmq/bin")
_SERVER = _PROGRAMS / "rabbitmq-server"
_EPMD = shutil.which("epmd")
ABSENT = None if _SERVER.exists() and _EPMD else "RabbitMQ is not installed: make debian-packages"
START_SCRIPT = "start.sh"
CERTIFICATE = "certificate.pem"
_USER = "qrmill"
_PORTS = (20_000, 32_000)  # below Linux's ephemeral ports
_PROBE_SECONDS = 5.0


def lasting_port() -> int:
    """Return a free port outside the range of ephemeral ports.

    The server listens only seconds later. Until then, no client gets the port as its own.
    """
    return next(port for port in iter(lambda: random.randint(*_PORTS), None) if is_free(port))


@dataclass(frozen=True, slots=True)
class RabbitServer:
    """Ports and password of RabbitMQ.

    Attributes:
        port, tls_port: ports of AMQP without and with TLS.
        distribution_port, epmd_port: ports of Erlang.
        password: password of the user ``qrmill``.
    """

    port: int = field(default_factory=lasting_port)
    tls_port: int = field(default_factory=lasting_port)
    distribution_port: int = field(default_factory=lasting_port)
    epmd_port: int = field(default_factory=lasting_port)
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def url(self) -> str:
        """The URL with the password. Do not log it."""
        return f"amqp://{_USER}:{self.password}@{LOOPBACK}:{self.port}/%2F"

    @property
    def tls_url(self) -> str:
        """The URL with the password, for TLS."""
        return f"amqps://{_USER}:{self.password}@{LOOPBACK}:{self.tls_port}/%2F"


def epmd(server: RabbitServer, directory: Path) -> Part:
    """Return the process of the port mapper. It is ready when it listens."""
    command = (str(_EPMD), "-port", str(server.epmd_port), "-address", LOOPBACK)
    probe = partial(_listens, server.epmd_port)
    return Part("epmd", command, make_private_directory(directory), os.environ, lambda: probe)


def rabbitmq(server: RabbitServer, directory: Path, environ: Mapping[str, str]) -> Part:
    """Return the process of the server. It is ready when a client can connect with the password.

    Args:
        server: its ports and password.
        directory: directory of its data.
        environ: environment, to which the server's own variables are added.
    """
    make_private_directory(directory)
    write_certificate(directory / CERTIFICATE, LOOPBACK)
    write_private(directory / "rabbitmq.conf", _configuration(server, directory).encode())
    write_private(directory / "enabled_plugins", b"[].\n")
    own = {
        "HOME": str(directory),  # has Erlang's cookie
        "RABBITMQ_NODENAME": f"qrmill-{server.port}@localhost",
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_DIST_PORT": str(server.distribution_port),
        "ERL_EPMD_PORT": str(server.epmd_port),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
        # With this, the script execs the server, so that a kill hits the server.
        "RUNNING_UNDER_SYSTEMD": "true",
    }
    probe = partial(_answers, server.url)
    # Whoever wants it not to be started again moves this aside.
    write_private(directory / START_SCRIPT, f"exec {_SERVER}\n".encode())
    return Part(
        "rabbitmq",
        ("/bin/sh", START_SCRIPT),
        directory,
        {**environ, **own},
        lambda: probe,
        start_seconds=90.0,
        stop_seconds=30.0,
    )


@contextmanager
def running_rabbitmq(directory: Path) -> Iterator["RunningRabbitmq"]:
    """Run a server in ``directory`` until the end of the block."""
    running = RunningRabbitmq(RabbitServer(), directory)
    try:
        running.start()
        yield running
    finally:
        running.stop()


class RunningRabbitmq:
    """A RabbitMQ server and its port mapper."""

    def __init__(self, server: RabbitServer, directory: Path) -> None:
        self.server = server
        self._part = rabbitmq(server, directory, os.environ)
        self._directory = directory
        self._mapper: PartProcess | None = None
        self._process: PartProcess | None = None

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def certificate(self) -> Path:
        return self._directory / CERTIFICATE

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """Open a channel as the administrator until the end of the block."""
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            yield connection.channel()

    def empty(self) -> None:
        """Delete all queues of the service."""
        with self.channel() as channel:
            for queue in ALL_QUEUES:
                for name in (queue, dq_name(queue), xq_name(queue)):
                    channel.queue_delete(name)

    def control(self, *arguments: str, text: str = "") -> None:
        """Run ``rabbitmqctl``; ``text`` is its input."""
        command = (str(_PROGRAMS / "rabbitmqctl"), "--quiet", *arguments)
        subprocess.run(
            command, env=self._part.environment, input=text, text=True, check=True, timeout=60
        )

    def start(self) -> None:
        if self._mapper is None:
            self._mapper = start_and_wait(epmd(self.server, self._directory), self._directory)
        self._process = start_and_wait(self._part, self._directory)

    def stop(self) -> None:
        for process in (self._process, self._mapper):
            if process is not None:
                process.stop()


def _configuration(server: RabbitServer, directory: Path) -> str:
    files = ("cacertfile", "certfile", "keyfile")
    return (
        f"listeners.tcp.1 = {LOOPBACK}:{server.port}\n"
        f"listeners.ssl.1 = {LOOPBACK}:{server.tls_port}\n"
        + "".join(f"ssl_options.{file} = {directory / CERTIFICATE}\n" for file in files)
        + "ssl_options.verify = verify_none\n"  # clients have a password
        + f"default_user = {_USER}\ndefault_pass = {server.password}\n"
        "loopback_users = none\nlog.console.level = warning\n"
        # The machine's disk and memory are shared with other programs.
        "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.relative = 0.6\n"
    )


def _listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(_PROBE_SECONDS)
        return client.connect_ex((LOOPBACK, port)) == 0


def _answers(url: str) -> bool:
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.stack_timeout = _PROBE_SECONDS
    try:
        pika.BlockingConnection(parameters).close()
    except (pika.exceptions.AMQPError, OSError):
        return False
    return True
