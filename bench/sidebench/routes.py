"""The same virtual hosts and routes in each peer's language.

Hosts are called `host-0000.example`, the routes of each are the prefixes `/service-00000/` and so on. One host stands
for every name, one route for every path.
"""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Routes:
    hosts: int = 1
    of_each: int = 1

    def domains(self):
        return ["*"] if self.hosts == 1 else [f"host-{i:04d}.example" for i in range(self.hosts)]

    def prefixes(self):
        return ["/"] if self.of_each == 1 else [f"/service-{i:05d}/" for i in range(self.of_each)]


def nginx(routes, port, filter_text):
    filter_lines = "".join(f"    {line}\n" for line in filter_text.splitlines())
    locations = "".join(f"    location {prefix} {{ proxy_pass http://origin; }}\n" for prefix in routes.prefixes())
    servers = []
    for index, domain in enumerate(routes.domains()):
        listen = f"127.0.0.1:{port}" + (" backlog=4096" if index == 0 else "")
        name = "_" if domain == "*" else domain
        servers.append(f"server {{\n    listen {listen};\n    server_name {name};\n{filter_lines}{locations}}}")
    return "\n".join(servers)


def haproxy(routes, map_file):
    """Text for the frontend, the default backend, and the map's text."""
    if routes.hosts * routes.of_each == 1:
        return "", "origin", ""
    # Both look up the longest prefix in a tree.
    sample = "path" if routes.hosts == 1 else "base"
    hosts = [""] if routes.hosts == 1 else routes.domains()
    entries = [f"{host}{prefix} origin\n" for host in hosts for prefix in routes.prefixes()]
    return f"use_backend %[{sample},map_beg({map_file},none)]", "none", "".join(entries)


def envoy(routes):
    hosts = []
    for domain in routes.domains():
        entries = [{"match": {"prefix": prefix}, "route": {"cluster": "origin"}} for prefix in routes.prefixes()]
        hosts.append({"name": domain, "domains": [domain], "routes": entries})
    return yaml_list(hosts)


def sidegate(routes):
    hosts = []
    for domain in routes.domains():
        entries = [{"match": {"prefix": prefix}, "route": {"cluster_name": "origin"}} for prefix in routes.prefixes()]
        hosts.append({"name": domain, "domains": [domain], "routers": entries})
    return yaml_list(hosts)


def yaml_list(items):
    """JSON is YAML: one item a line."""
    return "\n".join("- " + json.dumps(item) for item in items)
