"""All loopback venues by name: one row each."""

from __future__ import annotations

from tests.venues.binance_spot import BinanceSpot
from tests.venues.binance_usdm import BinanceUsdm
from tests.venues.bybit import Bybit
from tests.venues.deribit import Deribit
from tests.venues.hyperliquid import Hyperliquid
from tests.venues.loopback import LoopbackVenue
from tests.venues.okx import Okx

VENUES: dict[str, type[LoopbackVenue]] = {
    venue.name: venue for venue in (BinanceSpot, BinanceUsdm, Bybit, Okx, Deribit, Hyperliquid)
}
