"""All methods that an adaptation may choose from."""

from __future__ import annotations

from headstart.transfer.domains.coral import Coral
from headstart.transfer.domains.domains import Method
from headstart.transfer.domains.source_only import SourceOnly

METHODS: tuple[Method, ...] = (SourceOnly(), Coral())
"""From the simplest on: where two are as good, the one that is named first is chosen."""
