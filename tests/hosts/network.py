"""Hosts as network namespaces, a bridge between them, and the harm that is done to their links.

The harness itself runs in a network namespace of its own (:mod:`tests.hosts.__main__`), which holds
the bridge. No namespace has a name: each lasts as long as a process is in it, and takes its devices
with it, so nothing is left behind however the harness ends. Devices of a host ``x``: ``eth0``
inside, ``x`` at the bridge. Addresses and neighbours are fixed, so that a host that is cut off is
silent: nothing finds out by ARP that it is gone, as nothing would behind a router.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from deploy.embedded.process import dies_with_parent
from tests.hosts import slow_link

API, REDIS, S3 = "api", "redis", "s3"
WORKERS = ("worker-1", "worker-2")
_NAMES = (API, *WORKERS, REDIS, S3)
_BRIDGE = "bridge"
_TOOLS = ("ip", "unshare", "nsenter")
_NOBODY = "02:00:00:00:00:fe"
#: What `eth0` of a host says once the namespace is there.
_READY = "ready"
_HOLD = f'echo "$1" > /proc/sys/kernel/hostname && echo {_READY} && exec sleep infinity'
_CONNECT = """
import socket, sys, time
begin = time.monotonic()
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).close()
except OSError as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(time.monotonic() - begin)
"""


class NetworkError(OSError):
    """A namespace or a device could not be made or changed; the message has the tool's words."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host: its name, its place in the network, and the process that holds its namespaces."""

    name: str
    number: int
    pid: int

    @property
    def address(self) -> str:
        return _address(self.number)

    @property
    def mac(self) -> str:
        return _mac(self.number)

    def command(self, *command: str) -> tuple[str, ...]:
        """Return a command line that becomes ``command`` on this host, with the same process id."""
        spaces = (f"--{kind}=/proc/{self.pid}/ns/{kind}" for kind in ("net", "uts"))
        return ("nsenter", *spaces, *command)


class Network:
    """The hosts, and what can be done to their links."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts = {host.name: host for host in hosts}
        self._lasting = ExitStack()

    def for_good(self, harm: AbstractContextManager[object]) -> None:
        """Do harm that lasts until :meth:`heal`, when all is judged."""
        self._lasting.enter_context(harm)

    def heal(self) -> None:
        """End what was done for good, so that the parts can be stopped."""
        self._lasting.close()

    def seconds_to_connect(
        self, origin: str, target: str, port: int, within: float
    ) -> float | None:
        """Return the seconds that a TCP connection takes; None when there is none in time."""
        address = self.hosts[target].address
        own = (sys.executable, "-I", "-S", "-c", _CONNECT, address, str(port), str(within))
        done = subprocess.run(
            self.hosts[origin].command(*own), capture_output=True, text=True, check=False
        )
        return float(done.stdout) if done.returncode == 0 else None

    @contextmanager
    def cut_off(self, *names: str) -> Iterator[None]:
        """Through the block nothing reaches these hosts and nothing comes from them, silently."""
        for name in names:
            _run("ip", "link", "set", name, "nomaster")
        try:
            yield
        finally:
            for name in names:
                _run("ip", "link", "set", name, "master", _BRIDGE)

    @contextmanager
    def apart(self, one: str, other: str) -> Iterator[None]:
        """Through the block these two do not reach each other, silently, but all others."""
        pair = (self.hosts[one], self.hosts[other])
        for host, peer in (pair, pair[::-1]):
            _neighbour(host, peer.address, _NOBODY)
        try:
            yield
        finally:
            for host, peer in (pair, pair[::-1]):
                _neighbour(host, peer.address, peer.mac)

    @contextmanager
    def unplugged(self, name: str) -> Iterator[None]:
        """Through the block a host's interface is down: what it sends fails at once."""
        host = self.hosts[name]
        _run(*host.command("ip", "link", "set", "eth0", "down"))
        try:
            yield
        finally:
            _run(*host.command("ip", "link", "set", "eth0", "up"))
            self._introduce(host)  # its neighbours were forgotten with the interface

    @contextmanager
    def slow(self, *names: str, link: slow_link.Link) -> Iterator[str]:
        """Through the block the links of these hosts are slow and lose packets, in both directions.

        Yields:
            What does it: netem, or where the kernel has none, a relay between link and bridge.
        """
        with ExitStack() as stack:
            yield " and ".join(
                sorted({stack.enter_context(self._slow(self.hosts[name], link)) for name in names})
            )

    @contextmanager
    def _slow(self, host: Host, link: slow_link.Link) -> Iterator[str]:
        add = ("tc", "qdisc", "add", "dev")
        remove = ("tc", "qdisc", "del", "dev")
        if _can(*add, host.name, "root", *link.netem()):
            _run(*host.command(*add, "eth0", "root", *link.netem()))
            try:
                yield "netem"
            finally:
                _run(*remove, host.name, "root")
                _run(*host.command(*remove, "eth0", "root"))
            return
        _run("ip", "link", "set", host.name, "nomaster")
        try:
            with slow_link.running(host.name, link) as device:
                _run("ip", "link", "set", device, "up", "master", _BRIDGE)
                yield "a relay (this kernel has no netem)"
        finally:
            _run("ip", "link", "set", host.name, "master", _BRIDGE)

    def introduce_all(self) -> None:
        """Tell every host of every other, and of the harness."""
        for host in self.hosts.values():
            self._introduce(host)

    def _introduce(self, host: Host) -> None:
        _neighbour(host, _address(0), _mac(0))
        for other in self.hosts.values():
            if other != host:
                _neighbour(host, other.address, other.mac)


def why_not() -> str | None:
    """Return why there cannot be such a network here; None when there can.

    To be asked outside; it makes namespaces and devices that are gone when it returns.
    """
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"no {', '.join(missing)}; `make debian-packages` installs them"
    try:
        _run(
            *own_namespace(),
            "sh",
            "-c",
            f"ip link add {_BRIDGE} type bridge && "
            "ip link add one type veth peer name other && "
            "unshare --net --uts sh -c 'echo one > /proc/sys/kernel/hostname'",
        )
    except NetworkError as error:
        return f"network namespaces may not be made here: {error}"
    return None


def own_namespace() -> tuple[str, ...]:
    """Return what a command line begins with that is to run in a network namespace of its own."""
    # Whoever is not root may be it in a user namespace, where the system allows that.
    done = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return ("unshare", *(["--map-root-user"] if done.returncode else []), "--net")


@contextmanager
def running_network() -> Iterator[Network]:
    """Have the hosts through the block. The harness is at the bridge, in a namespace of its own.

    Raises:
        NetworkError: they could not be made.
    """
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", _BRIDGE, "address", _mac(0), "type", "bridge", "forward_delay", "0")
    _run("ip", "address", "add", f"{_address(0)}/24", "dev", _BRIDGE)
    _run("ip", "link", "set", _BRIDGE, "up")
    try:
        with ExitStack() as stack:
            hosts = [
                stack.enter_context(_running_host(name, number))
                for number, name in enumerate(_NAMES, start=1)
            ]
            network = Network(hosts)
            network.introduce_all()
            yield network
    finally:
        _run("ip", "link", "delete", _BRIDGE)


@contextmanager
def _running_host(name: str, number: int) -> Iterator[Host]:
    with subprocess.Popen(
        ["unshare", "--net", "--uts", "sh", "-c", _HOLD, "sh", name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=dies_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one thread yet
    ) as holder:
        try:
            assert holder.stdout is not None
            if holder.stdout.readline().strip() != _READY:
                raise NetworkError(f"the host {name} could not be made")
            host = Host(name, number, holder.pid)
            _connect(host)
            yield host
        finally:
            # The kernel would do it a little later, and the next network has these names too.
            _can("ip", "link", "delete", name)  # it cannot where there was none yet
            holder.kill()


def _connect(host: Host) -> None:
    _run(
        "ip",
        "link",
        "add",
        host.name,
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "address",
        host.mac,
        "netns",
        str(host.pid),
    )
    _run("ip", "link", "set", host.name, "up", "master", _BRIDGE)
    _run("ip", "neighbour", "replace", host.address, "lladdr", host.mac, "dev", _BRIDGE)
    _run(*host.command("ip", "link", "set", "lo", "up"))
    _run(*host.command("ip", "address", "add", f"{host.address}/24", "dev", "eth0"))
    _run(*host.command("ip", "link", "set", "eth0", "up"))


def _neighbour(host: Host, address: str, mac: str) -> None:
    _run(*host.command("ip", "neighbour", "replace", address, "lladdr", mac, "dev", "eth0"))


def _address(number: int) -> str:
    return f"10.77.0.{number + 1}"


def _mac(number: int) -> str:
    return f"02:00:00:00:00:{number + 1:02x}"


def _can(*command: str) -> bool:
    return (
        shutil.which(command[0]) is not None
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise NetworkError(f"{' '.join(command)}: {words}")
