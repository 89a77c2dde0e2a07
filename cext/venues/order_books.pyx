"""Order books that settle a taker's trade in one instruction.

Layouts: Ellipsis-Labs/phoenix-v1, openbook-dex/openbook-v2; Manifest's as seen in transactions.

Books that move funds in another instruction than the one that trades (OpenBook v1, Serum) have
no leg by this rule; neither have placing, cancelling and settling.
"""

from mevstream.cext.registry cimport add_venue

add_venue("phoenix", "PhoeNiXZ8ByJGLkxNfZRnkUfjvmuYqLR89jjFHGqdXY", [
    ("00", 2, 6, 7, 3),    # Swap
])

add_venue("openbook_v2", "opnb2LAfJYbRMAHHvqjCwQxanZn7ReEHp1k81EohpZb", [
    ("032c47031ac7cb55", 2, 6, 7, 0),   # placeTakeOrder
])

# A maker's global order is paid from a global vault into the market's vault inside the swap; it
# is the trader's side that decides which way the swap goes.
add_venue("manifest", "MNFSTqtC93rEfYHB6hF82sKdZpUDFWkViLByLd1k1Ms", [
    ("04", 1, 5, 6, 0),    # Swap
    ("0d", 2, 6, 7, 1),    # SwapV2
])
