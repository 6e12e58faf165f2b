"""Checks that addresses are public, at the moment of connecting to them."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def is_public(address: str) -> bool:
    """Whether an address is public: not loopback, private, link-local and so on.

    Nor may it lead to such an address: IPv4 inside of IPv6 (mapped, compatible, 6to4, Teredo,
    NAT64).
    """
    try:
        found: Address = ipaddress.ip_address(address)
    except ValueError:
        return False
    inner = () if isinstance(found, ipaddress.IPv4Address) else _inside(found)
    if inner:
        return all(is_public(str(each)) for each in inner)
    if isinstance(found, ipaddress.IPv6Address) and (found.is_site_local or found in _LOCAL_NAT64):
        return False
    return found.is_global and not found.is_multicast


def _inside(address: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 one leads to."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _NAT64 or address in _COMPATIBLE:
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    return ()


class PublicOnly:
    """Makes sockets only to public addresses; it is called with addresses just resolved."""

    def __init__(self) -> None:
        self.refused: str | None = None
        self._was_public = False

    @property
    def refused_all(self) -> bool:
        """Whether a host had addresses, but none that is public."""
        return self.refused is not None and not self._was_public

    def begin(self) -> None:
        """Start with a new host."""
        self.refused, self._was_public = None, False

    def socket(self, info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        """A socket to connect to this address. Raises OSError for one that is not public."""
        family, kind, protocol, _, address = info
        if not is_public(str(address[0])):
            self.refused = str(address[0])
            raise OSError(errno.EACCES, "the address is not public")
        self._was_public = True
        return socket.socket(family, kind, protocol)
