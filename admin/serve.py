"""Run a node from its configuration: lock, identity, sockets, workers, exit code. Decides nothing on the wire."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from admin import keeper, logs, shared_cache, writing
from admin.errors import ExitCode, Failure
from admin.local_store import open_store
from admin.setup.initialise import public_half
from admin.systemd import notify
from protocol.site import Site
from protocol.trust.keys import PrivateKey, from_pem, public_key_octets
from resolver import counters
from resolver.assembly import Parts
from resolver.certificate import BadCertificate
from resolver.clock import SystemClock
from resolver.config import Config
from resolver.config_units import Endpoint
from resolver.identity import Identity, refreshed
from resolver.namespaces import BadNamespace, Namespaces
from resolver.node import Node, Sockets
from resolver.sockets import PortTaken, for_workers
from resolver.tls_listener import ServerTls
from resolver.workers import Supervisor, on_reload
from storage.locking import node_lock
from storage.volatile import Volatile
from storage.writer_client import WriterClient, door

log = logging.getLogger(__name__)

COUNTERS_FILE: Final = Path("run") / "counters"
VOLATILE_FOLDER: Final = Path("run") / "volatile"
_YOUNG_OBJECTS: Final = 10_000  # Searches under way are thousands of objects: they are to die unlooked at.
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def counters_path(config: Config) -> Path:
    """Where the workers of this node count."""
    return config.node.data_dir / COUNTERS_FILE


def serve(config: Config, *, announce: Callable[[str], None] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. `announce` gets the one line that begins with `ready`."""
    started = time.monotonic()
    logs.start(config.log.level, config.log.format)
    _allow_files()
    public_key = server_public_key(config.node.server_key)
    _expect_namespace(config)
    private_key = _private_key(config)
    _server_tls(config, private_key)
    keeper.settings(config)
    with node_lock(config.node.data_dir):
        identity, case_sensitive = _identity(config, public_key)
        workers = config.worker_count()
        sockets = _bound(config, workers)
        for section in ("http", "admin"):
            if getattr(config, section).listen:
                log.warning("[%s] listen is configured and not served by this version", section)
        counters.create(counters_path(config), workers)
        Volatile.create(config.node.data_dir / VOLATILE_FOLDER).close()
        shared_cache.prepare(config)
        knocker, writers_door = door()
        names = {workers: "writer", workers + 1: "keeper"}

        def work(number: int, ready: Callable[[], None]) -> int:
            if number == workers:
                return writing.write(config, writers_door, ready)
            if number == workers + 1:
                return keeper.keep(config, ready)
            return _work(config, number, identity, sockets[number], case_sensitive, private_key, knocker, ready)

        def on_ready() -> None:
            line = _ready_line(sockets[0], workers, time.monotonic() - started)
            (announce or _announce)(line)
            notify(f"READY=1\nSTATUS={line}")

        count = workers + 1 + keeper.is_wanted(config)
        code = Supervisor(work, count=count, on_ready=on_ready, names=names).run()
        notify("STOPPING=1")
    return ExitCode.OK if code == 0 else ExitCode.FAILED


def _allow_files() -> None:
    """Have this process, and those it makes, open as many files as the machine lets it: the hard limit.

    The soft one, 1,024 as a rule, is there for programs that wait for all of them by `select`: here the supervisor
    alone does, for its few pipes. A worker that has used it up can ask nobody and hand over no change.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # Some systems name a hard limit that they do not grant.
        log.warning("%d files at a time are allowed, and no more are granted: %s", soft, error)


def _expect_namespace(config: Config) -> None:
    """Read the configured namespace once before workers do: a `Failure` where it cannot be used."""
    try:
        Namespaces(namespace=config.namespace_xml())
    except (BadNamespace, OSError) as error:
        why = f"{config.resolution.namespace}: {error}"
        raise Failure("the namespace cannot be used", why, "hnode config check", code=ExitCode.CONFIG) from error


def _private_key(config: Config) -> PrivateKey:
    """The node's private key; `server_public_key` has found it good."""
    key = from_pem(config.node.server_key.read_bytes())
    if not isinstance(key, PrivateKey):
        raise Failure("the server key cannot be used", f"{config.node.server_key} holds no private key", "hnode init")
    return key


def _server_tls(config: Config, key: PrivateKey) -> ServerTls | None:
    """TLS of this process; a `Failure` where it cannot be spoken with what is configured. None without a listener."""
    if not config.tls.listen:
        return None
    try:
        return ServerTls(config.tls, key, now_s=time.time)
    except BadCertificate as error:
        raise Failure("TLS cannot be served", str(error), error.then, code=ExitCode.CONFIG) from error


def server_public_key(path: Path) -> bytes:
    """The public half, in wire form, of the node's key; a `Failure` where it cannot be used or others can read it."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise Failure(
            "the server key cannot be read", f"{path}: {error.strerror}", "hnode init DIR --prefix P"
        ) from error
    if mode & _OTHERS:
        why = f"others may read {path} (mode {stat.S_IMODE(mode):04o})"
        raise Failure("the server key is not secret", why, f"chmod 600 {path}", code=ExitCode.CONFIG)
    return public_key_octets(public_half(path))


def _identity(config: Config, public_key: bytes) -> tuple[Identity, bool]:
    """The node's identity, brought up to date, and the store's case rule. The store is closed before workers fork."""
    store = open_store(config)
    try:
        if store.case_sensitive != config.store.case_sensitive:
            made = "tells case apart" if store.case_sensitive else "does not tell case apart"
            why = f"the store {made} in suffixes, as it was made; [store] case_sensitive says otherwise"
            raise Failure("the configuration does not fit the store", why, "hnode config show", code=ExitCode.CONFIG)
        return refreshed(store, config, public_key, now_s=int(time.time())), store.case_sensitive
    finally:
        store.close()


def _bound(config: Config, workers: int) -> list[Sockets]:
    try:
        udp = for_workers(
            config.udp.listen,
            socket.SOCK_DGRAM,
            section="udp",
            workers=workers,
            receive_buffer=config.udp.recv_buffer,
        )
        tcp = for_workers(config.tcp.listen, socket.SOCK_STREAM, section="tcp", workers=workers)
        tls = for_workers(config.tls.listen, socket.SOCK_STREAM, section="tls", workers=workers)
    except PortTaken as error:
        raise Failure("the node cannot start", str(error), "hnode doctor") from error
    return [Sockets(udp=udp[number], tcp=tcp[number], tls=tls[number]) for number in range(workers)]


def _ready_line(sockets: Sockets, workers: int, seconds: float) -> str:
    parts = ["ready"]
    for name, group in (("udp", sockets.udp), ("tcp", sockets.tcp), ("tls", sockets.tls)):
        parts += [f"{name} {Endpoint(*sock.getsockname()[:2])}" for sock in group]
    if sockets.udp:
        granted = min(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2 for sock in sockets.udp)
        parts.append(f"receive buffer {granted // 1024} KiB")  # The kernel reports twice what it grants for data.
    return f"{' '.join(parts)} workers {workers} pid {os.getpid()} in {seconds:.2f} s"


def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the one line that scripts wait for


def _work(
    config: Config,
    number: int,
    identity: Identity,
    sockets: Sockets,
    case_sensitive: bool,
    private_key: PrivateKey,
    knocker: socket.socket,
    ready: Callable[[], None],
) -> int:
    """The life of one worker process. It changes the store through the writer alone."""
    clock = SystemClock()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(open_store(config, read_only=True))
        volatile = stack.enter_context(contextlib.closing(Volatile(config.node.data_dir / VOLATILE_FOLDER)))
        answers = shared_cache.opened(config)
        if answers is not None:
            stack.enter_context(contextlib.closing(answers))
        writer = WriterClient(knocker)
        parts = Parts(
            store=store,
            writer=writer,
            volatile=volatile,
            site=Site.from_bytes(identity.site),
            private_key=private_key,
            case_sensitive=case_sensitive,
            counters=counters.block(counters_path(config), number),
            clock=clock,
            answers=answers,
        )
        tls = _server_tls(config, private_key)
        node = Node(config, parts, sockets, tls=tls)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(node, writer, ready, tls))
    return 0


async def _until_stopped(node: Node, writer: WriterClient, ready: Callable[[], None], tls: ServerTls | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    if tls is not None:
        on_reload(loop, tls.reload)
    writer.start()
    await node.start()
    gc.collect()
    gc.freeze()  # What stands now stands until the end: no collection has to look at it again.
    gc.set_threshold(_YOUNG_OBJECTS)
    ready()
    await stopped.wait()
    await node.stop()
    writer.close()
