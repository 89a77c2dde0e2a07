"""Stable-swap and weighted pools."""

from mevstream.cext.registry cimport add_venue

# The admin fee leaves the vault that pays out, so it is part of amount_out.
add_venue("saber", "SSwpkEEcbUqx4vtoEByFjSkhKdCT862DNVb52nZg1UZ", [
    ("01", 0, 4, 5, 2),
])

# Accounts 4 and up are the pool's vaults, as many as it has tokens; the user's two stand at the
# end. The flow tells which two of the vaults take part.
add_venue("mercurial", "MERLuDFBMmsHnsBPZw2sDQZHvXFMwp8EdjudcU2HKky", [
    ("04", 0, None, None, 3),
])

# What is paid out comes from a vault program one call deeper.
for _name, _address in (
    ("stabble_stable", "swapNyd8XiQwJ6ianp9snpu4brUqFxadzvHebnAXjJZ"),
    ("stabble_weighted", "swapFpHZwjELNnjvThjajtiVmkz3yPQEHjLtka2fwHW"),
):
    add_venue(_name, _address, [
        ("f8c69e91e17587c8", 6, 3, 4, 0),   # swap
        ("2b04ed0b1ac91e62", 8, 5, 6, 0),   # swap_v2
    ])

add_venue("perena", "NUMERUNsFCP3kuNmWZuXtm1AaQCPj9uw6Guv2Ekoi5P", [
    (_disc, 0, 5, 6, 8) for _disc in (
        "68688356a1bdb4d8", "62eff4e910ec2831", "44d1b1aab9641dbf", "fa49652126cf4bb8",
        "99d0ce463eea62b6",
    )
])
