"""What is measured: loads, and the contestants of each."""

from dataclasses import dataclass, field, replace

from .peers import PEERS, Contestant
from .routes import Routes


@dataclass(frozen=True)
class Load:
    """How requests are made."""

    path: str = "/"
    connections: int = 64
    close: bool = False
    # Bytes of each request's body.
    upload: int = 0
    # Bytes of each chunk of that body; 0: it has a length.
    chunk: int = 0
    # Host names and routes of each; every one of them is asked for.
    routes: tuple = ()


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    contestants: tuple
    load: Load = field(default_factory=Load)
    latency: bool = False
    idle_connections: int = 0


DIRECT = Contestant("direct")
PLAIN = tuple(Contestant(peer) for peer in PEERS)
RUST = Contestant("sidegate", filter="rust")
ALL = (DIRECT, *PLAIN)
ALL_AND_MODULE = (*ALL, RUST)
FILTERS = (
    Contestant("sidegate"),
    Contestant("sidegate", filter="demo"),
    RUST,
    Contestant("sidegate", filter="c"),
    Contestant("sidegate", filter="demo", filters=10),
    Contestant("sidegate", filter="rust", filters=10),
    Contestant("sidegate", filter="c", filters=10),
    Contestant("nginx"),
    Contestant("nginx", filter="if"),
    Contestant("haproxy"),
    Contestant("haproxy", filter="acl"),
    Contestant("envoy"),
    Contestant("envoy", filter="lua"),
    Contestant("envoy", filter="rbac"),
)

MANY_HOSTS = Routes(1000, 10)
ONE_HOST = Routes(1, 10_000)


def with_routes(routes, note):
    return tuple(Contestant(peer, routes=routes, note=note) for peer in PEERS)


SCENARIOS = (
    Scenario("small", "22-byte replies, 64 connections", ALL_AND_MODULE, latency=True),
    Scenario("10k", "10 KiB replies, 64 connections", ALL_AND_MODULE, Load("/10k"), latency=True),
    Scenario("1m", "1 MiB replies, 64 connections", ALL_AND_MODULE, Load("/1m")),
    Scenario("upload", "64 KiB uploads, 64 connections", ALL_AND_MODULE, Load(upload=64 * 1024)),
    Scenario("chunks-down", "64 KiB replies in chunks of one byte, 64 connections", ALL, Load("/chunks")),
    Scenario("chunks-up", "64 KiB uploads in chunks of one byte, 64 connections", ALL, Load(upload=64 * 1024, chunk=1)),
    Scenario("connect", "a new connection per request, 64 at a time", ALL_AND_MODULE, Load(close=True)),
    Scenario("c1", "22-byte replies, 1 connection", ALL_AND_MODULE, Load(connections=1)),
    Scenario("c512", "22-byte replies, 512 connections", ALL_AND_MODULE, Load(connections=512)),
    Scenario("filter", "cost of a header check, 22-byte replies", FILTERS, latency=True),
    Scenario(
        "routes", "1,000 virtual hosts with 10 routes each, against one route",
        with_routes(Routes(), "1 route") + with_routes(MANY_HOSTS, "1,000 × 10 routes"),
        Load(routes=(1000, 10)),
    ),
    Scenario(
        "routes-flat", "10,000 routes of one virtual host, against one route",
        with_routes(Routes(), "1 route") + with_routes(ONE_HOST, "10,000 routes"),
        Load(routes=(1, 10_000)),
    ),
    Scenario(
        "log", "access log written, metrics read every second",
        PLAIN + tuple(Contestant(peer, log=True, note="log, metrics") for peer in PEERS),
    ),
    Scenario("idle", "10,000 idle connections", PLAIN, idle_connections=10_000),
)


def chosen(names, peers):
    """The scenarios asked for, with the contestants that take part."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    result = []
    for name in names or known:
        if name not in known:
            raise ValueError(f"no scenario `{name}`; there are {', '.join(known)}")
        scenario = known[name]
        taking_part = tuple(c for c in scenario.contestants if c.peer in ("direct", *peers))
        result.append(replace(scenario, contestants=taking_part))
    return result
