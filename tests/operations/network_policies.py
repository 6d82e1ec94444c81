"""Who may reach whom, as NetworkPolicies say it: https://kubernetes.io/docs/concepts/services-networking/network-policies/

A connection needs both sides. A pod that no policy of a direction selects is open in that direction; one that some select is open
to what any of them allows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any, Literal

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """A pod, or, without labels, something outside of the cluster at `address`."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = ""
    namespace_labels: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    """By name."""
    address: str = "10.1.2.3"

    @property
    def is_pod(self) -> bool:
        return bool(self.namespace)


@dataclass(frozen=True)
class _Side:
    """One end of a connection, as the policies of its pod see it."""

    way: Literal["Egress", "Ingress"]
    pod: Endpoint
    peer: Endpoint
    port: int

    @property
    def target(self) -> Endpoint:
        return self.peer if self.way == "Egress" else self.pod


def flows(
    policies: Iterable[Manifest], endpoints: Iterable[Endpoint], ports: Iterable[int]
) -> set[tuple[str, str, int]]:
    """Every (from, to, port) that is allowed, of TCP; between pods of the same name too, for they may be two."""
    policies, endpoints, ports = list(policies), list(endpoints), list(ports)
    return {
        (source.name, target.name, port)
        for source, target, port in product(endpoints, endpoints, ports)
        if source.is_pod or target.is_pod
        if _allows(policies, _Side("Egress", source, target, port))
        if _allows(policies, _Side("Ingress", target, source, port))
    }


def _allows(policies: list[Manifest], side: _Side) -> bool:
    if not side.pod.is_pod:
        return True
    own = [policy for policy in policies if side.way in policy["spec"]["policyTypes"] and _selects(policy, side.pod)]
    return not own or any(_rule_allows(rule, policy, side) for policy in own for rule in _rules(policy, side.way))


def _selects(policy: Manifest, pod: Endpoint) -> bool:
    return pod.namespace == policy["metadata"]["namespace"] and matches(policy["spec"]["podSelector"], pod.labels)


def _rules(policy: Manifest, way: str) -> list[Manifest]:
    return policy["spec"].get(way.lower()) or []


def _rule_allows(rule: Manifest, policy: Manifest, side: _Side) -> bool:
    peers, ports = rule.get("to" if side.way == "Egress" else "from"), rule.get("ports")
    return (not peers or any(_is_peer(selector, policy, side.peer) for selector in peers)) and (
        not ports or any(_is_port(allowed, side.port, side.target) for allowed in ports)
    )


def _is_peer(selector: Manifest, policy: Manifest, peer: Endpoint) -> bool:
    if "ipBlock" in selector:
        block = selector["ipBlock"]
        address = ip_address(peer.address)
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(cut) for cut in block.get("except", ())
        )
    if not peer.is_pod:
        return False
    there = (
        matches(selector["namespaceSelector"], peer.namespace_labels)
        if "namespaceSelector" in selector
        else peer.namespace == policy["metadata"]["namespace"]
    )
    return there and matches(selector.get("podSelector", {}), peer.labels)


def _is_port(allowed: Manifest, port: int, target: Endpoint) -> bool:
    if allowed.get("protocol", "TCP") != "TCP":
        return False
    first = allowed["port"]
    if isinstance(first, str):
        return target.ports.get(first) == port
    return bool(first <= port <= (allowed.get("endPort") or first))


def matches(selector: Manifest, labels: dict[str, str]) -> bool:
    """A label selector: an empty one selects everything."""
    exact = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in exact.items()) and all(
        _fulfils(expression, labels) for expression in selector.get("matchExpressions") or ()
    )


def _fulfils(expression: Manifest, labels: dict[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case operator:
            raise ValueError(f"there is no operator {operator!r}")
