"""Oracle-driven market makers with closed source, and fills by a maker.

Their layouts are observed, not published, and change without notice: where the accounts named
here see no transfers, the leg is taken from the token flow. Most of what these programs are sent
are quote updates, which move no tokens and give no leg.
"""

from mevstream.cext.registry cimport add_venue

add_venue("lifinity_v2", "2wT8Yq49kHgDzXuPxZSaeLaH1qbmGXtEyPy64bL7aD3c", [
    ("f8c69e91e17587c8", 1, 5, 6, 2),
])
add_venue("lifinity_v1", "EewxydAPCCVuNEyrVN68PuSYdQ7wKn27V9Gjeoi8dy3S", [
    ("f8c69e91e17587c8", 1, 5, 6, 2),
])
add_venue("solfi", "SoLFiHG9TfgtdUXUjWAxi3LtvYuFyDLVhBWxdMZxyCe", [("07", 1, 2, 3, 0)])
add_venue("solfi_v2", "SV2EYYJyRz2YhfXwXnhNAevDEui5Q6yrfyo13WtupPF", [("07", 1, 4, 5, 0)])
add_venue("zerofi", "ZERor4xhbUycZ6gb9ntrhqscUcZmAbQDjEAtCf4hbZY", [("06", 0, 2, 4, None)])
# The data is obfuscated. Swaps have 9 accounts or more, quote updates 3.
add_venue("humidifi", "9H6tua7jkLhdm3w8BvgpTn5LZNU7g4ZynDmCiNN3q6Rp", [("", 1, 2, 3, 0, 9, 255)])
add_venue("tessera", "TessVdML9pBGgG9yGks7o4HewRaXVAMuoVj4x83GLQH", [
    ("10", 1, 3, 4, 2),
    ("11", 1, 3, 4, 2),
])
add_venue("obric_v2", "obriQD1zbpyLz95G5n7nJe6a4DPjpFwa5XYPoNm113y", [
    ("f8c69e91e17587c8", 0, 3, 4, 10),
    ("414b3f4ceb5b5b88", 0, 3, 4, 10),
])
add_venue("goonfi", "goonERTdGsjnkZqWuVjs73BZ3Pb9qoCUdBUL17BnS5j", [("02", 1, 5, 4, None)])
add_venue("goonfi_v2", "goonuddtQRrWqqn5nFyczVKaie28f3kDkHWkHtURSLE", [
    ("01", 1, 4, 5, 0),
    ("02", 1, 4, 5, 0),
])
add_venue("bisonfi", "BiSoNHVpsVZW2F7rx2eQ59yQwKxzU5NvBcmKshCSUypi", [
    ("02", 1, 2, 3, 0),
    ("07", 1, 2, 3, 0),
])
add_venue("alphaq", "ALPHAQmeA7bjrVuccPsYPiCvsi428SNwte66Srvs4pHA", [("0c", 1, 5, 6, 0)])
add_venue("scorch", "SCoRcH8c2dpjvcJD6FiPbCSQyQgu3PcUAWj2Xxx3mqn", [("02", 0, 4, 5, 1)])
add_venue("aquifer", "AQU1FRd7papthgdrwPTTq5JacJh8YtwEXaBfKU3bTz45", [("01", 9, 15, 13, None)])
add_venue("apesu", "5FyWAoG8V6hxgY6XM9hZStNxSW4D6mkv8HmYrxuPPDhv", [
    ("f8c69e91e17587c8", 0, 3, 4, None),
])
# A maker's own wallet fills the order: there is no pool, so the maker stands for it.
add_venue("jupiter_order_engine", "61DFfeTKM7trxYcPQCM78bJ794ddZprZpAwAnLiwTpYH", [
    ("a860b7a35c0a28a0", 1, None, None, 0),
])

# Known by name only: any instruction whose transfers are a swap.
for _name, _address in (
    ("quantum", "QuaNtZsgYRe5Z9Bk4LZ4cTD9tbkVoyCNf1R2BN9bBDv"),
    ("lemmingsfi", "BQEJZUB4CzoT6UhRffoCkqCyqQNrCPCSGHcPEmsdbEsX"),
    ("taurusfi", "9VX8EKBg6vM6tA68xaDsPkbrx26XConZjkQmhVApUptc"),
    ("binaryfi", "B72M6nyCLFgWiJtAN4naUTminMiTmyGcEqQHXwVeRdht"),
    ("hadron", "HADRoNbLovyqhCsocfYQYB7QdfCAAinN9HTePvBCVDQ8"),
    ("riptide", "riptK81hDxhe5pW5jSzSM9iRA8azgEgLJ4dXkPtBS7j"),
    ("obsidian", "HBVw6bZtcCaezhcBrmfyXBSBRWCdv72271xQ4GPvms2z"),
    ("flint", "FLiNTXPwppyoJabCoxc2uiiRygAHpmMXajiDXo2Ub1z"),
    ("flux", "FLUX6xBayGxLX9UcimVRxXFMHH6q43mAbRvDzSpCsvfK"),
    ("denali", "DNL1tgEj3nJovHw9jtyCCQD3arssCJzkmpDizknwzey4"),
    ("quay", "QUayE6nexQWYNZAEqfN8FxoNwQDSu3CAzT2qq9J1ArG"),
    ("archer", "Archer8kgiavM61GyusMzaaS2ft5sALtNsD1HxkUPMhy"),
    ("metric", "Bvs46DPFxiFE6YHxLDLD6QAUcmy51FyRVPZJusPxLk3j"),
    ("kipseli", "3TK9D8aoBFYjYZtKCjciPrVrRStsnvo7KmpcJqDavpaU"),
    ("gatorswap", "gatorLx9aC1e5ZWAXscv5QRKiLXnLPLXjftVc81h1Hr"),
    ("whalestreet", "FW6zUqn4iKRaeopwwhwsquTY6ABWLLgjxtrC3VPnaWBf"),
):
    add_venue(_name, _address, [("", None, None, None, None)])
