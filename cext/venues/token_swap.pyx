"""Constant-product pools of the older kinds: SPL token-swap and its many deployments, and others
with a fixed layout.
"""

from mevstream.cext.registry cimport add_venue

# Swap: 0 pool, 1 authority, 2 user, 3 user in, 4 vault in, 5 vault out, 6 user out, 7 pool mint
# (which gets the owner's fee minted), 8 fee account.
for _name, _address in (
    ("orca_v1", "DjVE6JNiYqPL2QXyCUUh8rNjHrbz9hXHNYt99MQ59qw1"),
    ("orca_v2", "9W959DqEETiGZocYWCQPaJ6sBmUzgfxXfqGeTEdp3aQP"),
    ("saros", "SSwapUtytfBdBn1b9NUGG6foMVPtcWgpRU32HToDUZr"),
    ("fluxbeam", "FLUXubRmkEi2q6K3Y9kBPg9248ggaZVsoSFhtJHSrm1X"),
    ("stepn", "Dooar9JkhdZ7J3LHN3A7YCuoGRUggXhQaG4kijfLGU2j"),
    ("token_swap", "SwaPpA9LAaLfeLi3a68M4DjnLqgtticKg6CnyNwgAC8"),
    ("penguin", "PSwapMdSai8tjrEXcxFeQth87xC4rRsa4VA5mhGhXkP"),
    ("step", "SSwpMgqNDsyV7mAgN9ady4bDVu5ySjmmXejXvy2vLt1"),
    ("dexlab", "DSwpgjMvXhtGn6BsbqmacdBZyfLj6jSWf3HJpdJtmg6N"),
    ("sencha", "SCHAtsf8mbjyjiv4LkhLKutTf6JnZAbdJKFkXQNMFHZ"),
):
    add_venue(_name, _address, [("01", 0, 4, 5, 2)])

add_venue("aldrin_v1", "AMM55ShdkoGRB5jVYPjWziwk8m5MpwyDgsMWHaMSQWH6", [
    ("f8c69e91e17587c8", 0, 3, 4, None),
])
add_venue("aldrin_v2", "CURVGoZn8zycx6FXwwevgBTB2gVvdbGTEpvMJDbgs2t4", [
    ("f8c69e91e17587c8", 0, 3, 4, None),
])
add_venue("one_dex", "DEXYosS6oEGvk8uCDayvwEZz4qEyDJRf9nFgYCaqPMTm", [
    ("0897f54caccb9027", 1, 3, 4, 5),
])
add_venue("invariant", "HyaB3W9q6XdA5xwpU4XnSZV94htfmbmqJXZcEbRaJutt", [
    ("f8c69e91e17587c8", 1, 5, 6, 7),
])
add_venue("crema", "CLMM9tUoggJu2wagPkkqs9eFG4BWhVBZWkP1qv3Sp7tR", [
    ("", 1, 6, 7, None, 8, 255),
])
add_venue("cropper_v1", "CTMAxxk34HjKWxQ3QLZK1HpaLXmBveao3ESePXbiyfzh", [
    ("01", 1, 5, 6, None),
])
for _name, _address in (
    ("bonkswap", "BSwp6bEBihVLdqJRKGgzjcGLHkcTuzmSo1TQkHepzH8p"),
    ("guacswap", "Gswppe6ERWKpUTXvRPfXdzHhiCyJvLadVvXGfdpBqcE1"),
):
    add_venue(_name, _address, [("f8c69e91e17587c8", 1, 4, 5, 8)])
add_venue("saros_dlmm", "1qbkdrr3z4ryLA7pZykqxvxWPoeifcVKo6ZG9CfkvVE", [
    ("f8c69e91e17587c8", 0, 5, 6, None),
])
add_venue("metadao", "FUTARELBfJfQ8RDGhg1wdhddq1odMAJUePHFuBYfUxKq", [
    ("a7610ce7ed4ea6fb", 0, 3, 4, 5),
])
add_venue("woofi", "WooFif76YGRNjk1pA8wCsN67aQsD9f9iLsz4NcJ1AVb", [
    ("f8c69e91e17587c8", 4, 6, 11, 2),
])
# Everything else that this program does moves collateral and is no swap.
add_venue("jupiter_perps", "PERPHjGBqRHArX4DySjwM6UJHiR3sWAatqfdBS2qQJu", [
    ("414b3f4ceb5b5b88", 5, 9, 13, 0),    # swap2
    ("8b8deec529d3ac13", 5, 8, 11, 0),    # swapWithTokenLedger
    ("c52656a5c71726ea", 5, 8, 11, 0),    # instantIncreasePositionPreSwap
])
